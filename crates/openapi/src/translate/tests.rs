use proptest::prelude::*;

use super::*;

const PETSTORE: &str = include_str!("petstore.yaml");

fn api(document: &str) -> Api {
    translate(document.as_bytes(), &["x-shop-key"], Limits::default()).unwrap()
}

fn refused(document: &str, limits: Limits) -> OpenApiError {
    // The control: the limits and the wrapping are not what is wrong.
    let control = translate(PETSTORE.as_bytes(), &[], Limits::default());
    assert!(control.is_ok(), "{control:?}");
    translate(document.as_bytes(), &[], limits).unwrap_err()
}

fn tool(api: &Api, name: &str) -> (Tool, Value) {
    let tool =
        api.tools.iter().find(|tool| tool.name == name).unwrap_or_else(|| panic!("no {name}: {api:?}"));
    (tool.clone(), serde_json::from_str(&tool.definition).unwrap())
}

/// A document with these operations on one path each, as JSON.
fn with(operations: &[(&str, &str, Value)]) -> String {
    let mut paths = Map::new();
    for (path, method, operation) in operations {
        let item = paths.entry((*path).to_owned()).or_insert_with(|| json!({}));
        item.as_object_mut().unwrap().insert((*method).to_owned(), operation.clone());
    }
    json!({ "openapi": "3.1.0", "info": { "title": "t", "version": "1" }, "paths": paths }).to_string()
}

#[test]
fn the_pet_shop_becomes_tools() {
    let api = api(PETSTORE);
    assert_eq!(api.title, "Pet shop");
    let names: Vec<&str> = api.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["listPets", "createPet", "showPetById", "delete_pets_petId"]);
    assert_eq!(api.left_out.len(), 1);
    assert_eq!(api.left_out[0].operation, "PUT /pets/{petId}/photo");
    assert!(api.left_out[0].reason.contains("no JSON"), "{}", api.left_out[0].reason);

    let (_, list) = tool(&api, "listPets");
    assert_eq!(list["title"], "Lists pets");
    assert_eq!(list["description"], "Lists pets\n\nAll pets that fit.");
    assert_eq!(list["annotations"]["readOnlyHint"], true);
    let input = &list["inputSchema"];
    assert_eq!((&input["type"], &input["additionalProperties"]), (&json!("object"), &json!(false)));
    assert_eq!(
        input["properties"]["limit"],
        json!({ "type": "integer", "exclusiveMinimum": 0, "description": "How many." })
    );
    assert!(input["properties"]["X-Trace"].is_object(), "the path's own parameter");
    assert_eq!(list["outputSchema"], Value::Null, "an array is no structured content in every era");

    let (_, remove) = tool(&api, "delete_pets_petId");
    assert_eq!(remove["description"], "DELETE /pets/{petId}");
    let hints = &remove["annotations"];
    assert_eq!((&hints["destructiveHint"], &hints["idempotentHint"]), (&json!(true), &json!(true)));
}

#[test]
fn each_side_sees_its_own_properties_and_a_schema_in_itself_ends() {
    let api = api(PETSTORE);
    let (create, definition) = tool(&api, "createPet");
    let body = &definition["inputSchema"]["properties"]["body"];
    assert_eq!(definition["inputSchema"]["required"], json!(["body"]));
    assert_eq!(body["required"], json!(["name"]));
    assert_eq!(body["properties"]["id"], Value::Null);
    assert_eq!(body["properties"]["tag"], json!({ "type": ["string", "null"] }));
    assert_eq!(body["properties"]["secret"]["type"], "string");
    assert_eq!(body["properties"]["parent"], json!({}));
    let answer = &definition["outputSchema"];
    assert_eq!(answer["required"], json!(["id", "name"]));
    assert_eq!(
        (&answer["properties"]["secret"], answer["properties"]["id"].is_object()),
        (&Value::Null, true)
    );
    assert!(create.has_output_schema);
    assert!(!PETSTORE.is_empty() && !definition.to_string().contains("$ref"));
}

#[test]
fn credentials_are_not_asked_for() {
    let (_, show) = tool(&api(PETSTORE), "showPetById");
    let properties = show["inputSchema"]["properties"].as_object().unwrap();
    assert_eq!(properties.keys().collect::<Vec<_>>(), ["petId"]);
    // Without a credential of the gateway's own, the API's key is an argument like any other.
    let open = translate(PETSTORE.as_bytes(), &[], Limits::default()).unwrap();
    let (_, show) = tool(&open, "showPetById");
    assert_eq!(show["inputSchema"]["required"], json!(["petId", "X-Shop-Key"]));
    assert_eq!(show["inputSchema"]["properties"]["Authorization"], Value::Null);
}

#[test]
fn json_and_yaml_of_one_document_are_the_same_tools() {
    let yaml = api(PETSTORE);
    let value: Value = serde_saphyr::from_str(PETSTORE).unwrap();
    let json = api(&value.to_string());
    let definitions = |api: &Api| api.tools.iter().map(|t| t.definition.clone()).collect::<Vec<_>>();
    assert_eq!(definitions(&yaml), definitions(&json));
    // Editors of Windows put a mark in front.
    for text in [PETSTORE, &value.to_string()] {
        assert_eq!(definitions(&yaml), definitions(&api(&format!("\u{feff}{text}"))));
    }
}

#[test]
fn t5_a_reference_to_another_document_is_refused_wherever_it_stands() {
    for reference in ["http://127.0.0.1:9/x.json", "other.yaml#/Pet", "file:///etc/passwd", "//host/x"] {
        let schema = json!({ "type": "object", "properties": { "a": { "items": { "$ref": reference } } } });
        let body = json!({ "required": true, "content": { "application/json": { "schema": schema } } });
        for operation in [
            json!({ "requestBody": body }),
            json!({ "requestBody": { "$ref": reference } }),
            json!({ "parameters": [{ "$ref": reference }] }),
            json!({ "responses": { "200": { "$ref": reference } } }),
        ] {
            let error = refused(&with(&[("/a", "post", operation)]), Limits::default());
            assert!(matches!(error, OpenApiError::RemoteReference { .. }), "{reference}: {error}");
            assert!(error.to_string().contains(reference), "{error}");
        }
    }
}

#[test]
fn t5_references_in_circles_and_to_nothing_leave_the_operation_out() {
    let circle = r##"{"openapi":"3.1.0","info":{},"paths":{"/a":{"get":{"parameters":[{"$ref":"#/components/parameters/A"}]}},
        "/b":{"get":{"parameters":[{"$ref":"#/nowhere"}]}},"/c":{"get":{}}},
        "components":{"parameters":{"A":{"$ref":"#/components/parameters/B"},"B":{"$ref":"#/components/parameters/A"}}}}"##;
    let api = api(circle);
    assert_eq!(api.tools.len(), 1);
    let reasons: Vec<&str> = api.left_out.iter().map(|left| left.reason.as_str()).collect();
    assert!(reasons[0].contains("circles") && reasons[1].contains("not there"), "{reasons:?}");

    let own = r##"{"openapi":"3.1.0","info":{},"paths":{"/a":{"post":{"requestBody":{"content":{"application/json":
        {"schema":{"$ref":"#/components/schemas/A"}}}}}}},"components":{"schemas":{"A":{"$ref":"#/components/schemas/A"}}}}"##;
    let (_, definition) = tool(&self::api(own), "post_a");
    assert_eq!(definition["inputSchema"]["properties"]["body"], json!({}));
}

#[test]
fn t5_schemas_that_grow_without_bound_leave_the_operation_out() {
    // Each level names the next one twice: 2^17 nodes, were it written out.
    let mut schemas = Map::new();
    for level in 0..16 {
        let next = json!({ "$ref": format!("#/components/schemas/S{}", level + 1) });
        schemas.insert(format!("S{level}"), json!({ "properties": { "a": next, "b": next } }));
    }
    schemas.insert("S16".to_owned(), json!({ "type": "string" }));
    let mut deep = json!({ "type": "string" });
    for _ in 0..60 {
        deep = json!({ "items": deep });
    }
    let body =
        |schema: Value| json!({ "requestBody": { "content": { "application/json": { "schema": schema } } } });
    let mut document: Value = serde_json::from_str(&with(&[
        ("/bomb", "post", body(json!({ "$ref": "#/components/schemas/S0" }))),
        ("/deep", "post", body(deep)),
        ("/good", "post", body(json!({ "$ref": "#/components/schemas/S15" }))),
    ]))
    .unwrap();
    document["components"] = json!({ "schemas": schemas });
    let api = api(&document.to_string());
    assert_eq!(api.tools.len(), 1, "control");
    let reasons: Vec<&str> = api.left_out.iter().map(|left| left.reason.as_str()).collect();
    assert!(reasons[0].contains("too long") && reasons[1].contains("deeper"), "{reasons:?}");
    let limits = Limits { all_schemas_bytes_max: 10, ..Limits::default() };
    let error = translate(document.to_string().as_bytes(), &[], limits).unwrap_err();
    assert_eq!(error, OpenApiError::SchemasTooLarge(10));
}

#[test]
fn d1_a_document_is_bounded_and_must_be_openapi_3() {
    let limits = Limits { document_bytes_max: PETSTORE.len(), ..Limits::default() };
    assert!(translate(PETSTORE.as_bytes(), &[], limits).is_ok());
    let longer = format!("{PETSTORE} ");
    assert_eq!(refused(&longer, limits), OpenApiError::TooLarge(PETSTORE.len()));
    let few = Limits { operations_max: 4, ..Limits::default() };
    assert_eq!(refused(PETSTORE, few), OpenApiError::TooManyOperations(4));
    for (document, part) in [
        ("swagger: '2.0'", "Swagger 2"),
        ("openapi: 4.0.0", "4.0.0"),
        ("{}", "without an `openapi` member"),
        ("[1, 2]", "without an `openapi` member"),
    ] {
        let error = refused(document, Limits::default()).to_string();
        assert!(error.contains(part), "{document}: {error}");
    }
    for document in ["{", "openapi: 3.0.0\nopenapi: 3.0.0\n", "a: &a [*a]", "\u{0}"] {
        assert!(matches!(refused(document, Limits::default()), OpenApiError::Unreadable(_)), "{document}");
    }
    let bomb = format!(
        "a: &a [x,x]\n{}",
        (b'b'..=b'z')
            .map(|c| {
                let (c, previous) = (char::from(c), char::from(c - 1));
                format!("{c}: &{c} [*{previous},*{previous},*{previous},*{previous}]\n")
            })
            .collect::<String>()
    );
    assert!(matches!(refused(&bomb, Limits::default()), OpenApiError::Unreadable(_)));
    let empty = refused(&with(&[]), Limits::default());
    assert_eq!(empty, OpenApiError::NoTools(String::new()));
}

/// FastAPI makes ids like these, and operators set prices by them.
#[test]
fn an_operations_id_is_the_tools_name_as_it_stands_there() {
    let long = "x".repeat(70);
    for (id, name) in [
        ("read_item_items__item_id__get", "read_item_items__item_id__get"),
        ("_private_", "_private_"),
        ("pets.list-all", "pets.list-all"),
        ("list pets", "list_pets"),
        (long.as_str(), &long[..64]),
    ] {
        let api = api(&with(&[("/a", "get", json!({ "operationId": id }))]));
        assert_eq!(api.tools[0].name, name);
    }
    let unnamed = api(&with(&[(
        "/a/{id}/b",
        "get",
        json!({ "operationId": " ", "parameters": [
        { "name": "id", "in": "path", "required": true, "schema": {} }] }),
    )]));
    assert_eq!(unnamed.tools[0].name, "get_a_id_b");
    let none = api(&with(&[("/a", "get", json!({ "operationId": "京_" })), ("/b", "get", json!({}))]));
    assert_eq!((none.tools.len(), none.left_out.len()), (1, 1));
}

#[test]
fn t5_two_operations_of_one_name_are_refused() {
    let named = |id: &str| json!({ "operationId": id });
    for (first, second) in [("same", "same"), ("a b", "a_b"), ("a/{b}", "a__b_")] {
        let error =
            refused(&with(&[("/a", "get", named(first)), ("/b", "get", named(second))]), Limits::default());
        let OpenApiError::DuplicateName { first, second, .. } = error else { panic!("{error}") };
        assert_eq!((first.as_str(), second.as_str()), ("GET /a", "GET /b"));
    }
    assert_eq!(api(&with(&[("/a", "get", named("x")), ("/b", "get", named("y"))])).tools.len(), 2);
}

#[test]
fn t5_a_path_that_is_none_is_left_out() {
    let parameter = |name: &str| json!({ "parameters": [{ "name": name, "in": "path", "required": true, "schema": {} }] });
    let bad = [
        ("no/slash", json!({})),
        ("//host/a", json!({})),
        ("/a/../b", json!({})),
        ("/a?b=c", json!({})),
        ("/a#b", json!({})),
        ("/a b", json!({})),
        ("/a\\b", json!({})),
        ("/a\r\nhost: b", json!({})),
        ("/{id", parameter("id")),
        ("/id}", json!({})),
        ("/{other}", parameter("id")),
        ("/none", parameter("id")),
    ];
    for (path, operation) in bad {
        let document = with(&[(path, "get", operation), ("/{id}/ok", "get", parameter("id"))]);
        let api = api(&document);
        assert_eq!((api.tools.len(), api.left_out.len()), (1, 1), "{path}: {:?}", api.tools);
    }
}

#[test]
fn what_cannot_be_sent_faithfully_is_left_out_if_it_must_be_sent() {
    let parameter = |raw: Value| json!({ "parameters": [raw] });
    let fine = json!({ "name": "q", "in": "query", "schema": {} });
    for (raw, reason) in [
        (json!({ "name": "c", "in": "cookie", "required": true, "schema": {} }), "cookie"),
        (json!({ "name": "q", "in": "query", "style": "pipeDelimited", "schema": {} }), "style"),
        (json!({ "name": "q", "in": "query", "content": { "text/plain": {} } }), "no JSON"),
        (json!({ "in": "query" }), "no name"),
    ] {
        let api = api(&with(&[("/a", "get", parameter(raw)), ("/b", "get", parameter(fine.clone()))]));
        assert_eq!(api.tools.len(), 1, "control");
        assert!(api.left_out[0].reason.contains(reason), "{:?}", api.left_out);
    }
    let optional = parameter(json!({ "name": "c", "in": "cookie", "schema": {} }));
    assert_eq!(api(&with(&[("/a", "get", optional)])).tools.len(), 1);
}

#[test]
fn a_name_that_stands_in_two_places_tells_them_apart() {
    let place = |place: &str| json!({ "name": "id", "in": place, "required": true, "schema": {} });
    let api = api(&with(&[("/{id}", "get", json!({ "parameters": [place("path"), place("query")] }))]));
    let request = api.tools[0].operation.request(br#"{"path_id":1,"query_id":2}"#).unwrap();
    assert_eq!(request.path_and_query, "/1?id=2");
    let taken = json!({ "parameters": [{ "name": "body", "in": "query", "schema": {} }],
        "requestBody": { "content": { "application/json": {} } } });
    let both = self::api(&with(&[("/a", "post", taken), ("/b", "get", json!({}))]));
    assert!(both.left_out[0].reason.contains("body"), "{:?}", both.left_out);
}

proptest! {
    /// Any bytes are refused or translated, never a panic; small changes of a good document too.
    #[test]
    fn t5_no_document_makes_it_panic(at in 0usize..3_000, bytes in prop::collection::vec(any::<u8>(), 0..8)) {
        let mut document = PETSTORE.as_bytes().to_vec();
        let at = at.min(document.len());
        let end = at.saturating_add(bytes.len()).min(document.len());
        document.splice(at..end, bytes);
        drop(translate(&document, &[], Limits::default()));
    }
}
