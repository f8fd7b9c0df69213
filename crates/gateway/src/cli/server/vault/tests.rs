use super::*;

fn vault(known: &[(&str, &str)]) -> Vault {
    let known = known.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let nowhere = tempfile::tempdir().unwrap().path().join("none");
    Vault { known: Environment::of(known), added: Vec::new(), file: TextFile::open(&nowhere).unwrap() }
}

#[test]
fn what_looks_like_a_secret_becomes_a_reference_and_the_rest_stays() {
    let mut settings = json!({
        "command": ["npx", "-y", "@scope/server-1", "--api-key", "hunter22", "--token=abc.def", "--port", "8080",
            "--header", "Authorization: Bearer t0ps3cret", "postgres://user:pw@db/x", "/srv/files"],
        "env": {
            "GITHUB_PERSONAL_ACCESS_TOKEN": "ghp_0123456789abcdefghij", "LOG_LEVEL": "debug", "PATH_TO_DATA": "/srv",
            "OPENAI_API_KEY": "${OPENAI_API_KEY}", "TOKEN_LIMIT": "4096", "DB": "postgres://u:p@db/x", "MODEL": "gpt-4o-mini-2024",
            "BUILD": "0f9a8b7c6d5e4f3a2b1c0d9e",
        },
    });
    let mut vault = vault(&[]);
    let notes = vault.conceal("github", &mut settings).unwrap();
    assert_eq!(
        settings["command"],
        json!([
            "npx",
            "-y",
            "@scope/server-1",
            "--api-key",
            "${GITHUB_API_KEY}",
            "--token=${GITHUB_TOKEN}",
            "--port",
            "8080",
            "--header",
            "Authorization: Bearer ${GITHUB_ARGUMENT}",
            "${GITHUB_ARGUMENT_2}",
            "/srv/files"
        ])
    );
    assert_eq!(
        settings["env"],
        json!({
            "GITHUB_PERSONAL_ACCESS_TOKEN": "${GITHUB_PERSONAL_ACCESS_TOKEN}", "LOG_LEVEL": "debug", "PATH_TO_DATA": "/srv",
            "OPENAI_API_KEY": "${OPENAI_API_KEY}", "TOKEN_LIMIT": "4096", "DB": "${GITHUB_DB}", "MODEL": "gpt-4o-mini-2024",
            "BUILD": "${GITHUB_BUILD}",
        })
    );
    let said = notes.join("\n");
    for (name, value) in &vault.added {
        assert!(said.contains(name.as_str()) && !said.contains(value.as_str()), "{name}: {said}");
    }
    assert_eq!(vault.added.len(), 7, "{:?}", vault.names());
}

#[test]
fn a_url_and_a_credential_keep_their_secrets_out_of_the_file() {
    let mut settings = json!({
        "url": "https://mcp.example/v1/mcp?region=eu&apiKey=abc123", "credential": { "value": "Bearer tok" },
    });
    let mut vault = vault(&[]);
    vault.conceal("search", &mut settings).unwrap();
    assert_eq!(settings["url"], "https://mcp.example/v1/mcp?region=eu&apiKey=${SEARCH_URL_KEY}");
    assert_eq!(settings["credential"]["value"], "Bearer ${SEARCH_TOKEN}");
    let mut plain = json!({ "url": "https://mcp.example/servers/weather-2/mcp?region=eu" });
    let before = plain.clone();
    vault.conceal("search", &mut plain).unwrap();
    assert_eq!(plain, before, "control");
}

#[test]
fn of_several_headers_those_that_look_like_secrets_are_kept_out_of_the_file() {
    let mut settings = json!({ "url": "https://a.example/mcp", "headers": {
        "x-api-key": "abcdef", "x-other": "Bearer tok", "x-tenant": "acme", "x-token": "${THERE}",
    } });
    let mut vault = vault(&[]);
    let notes = vault.conceal("up", &mut settings).unwrap().join("\n");
    assert_eq!(
        settings["headers"],
        json!({ "x-api-key": "${UP_X_API_KEY}", "x-other": "Bearer ${UP_X_OTHER}", "x-tenant": "acme", "x-token": "${THERE}" })
    );
    assert!(
        notes.contains("the header x-other") && !notes.contains("tok") && !notes.contains("abcdef"),
        "{notes}"
    );
}

#[test]
fn what_stood_in_a_file_of_its_own_stays_out_of_the_settings_whatever_it_looks_like() {
    let mut settings = json!({ "command": ["x"], "env": { "MODE": "fast" } });
    let mut vault = vault(&[]);
    let variables = [("HOST", "db.example"), ("PASSWORD", "${not} a 'reference'"), ("NOTHING", "")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let notes = vault.keep_apart("db", &mut settings, variables.into()).unwrap().join("\n");
    assert_eq!(
        settings["env"],
        json!({ "MODE": "fast", "HOST": "${DB_HOST}", "PASSWORD": "${DB_PASSWORD}", "NOTHING": "" })
    );
    assert_eq!(vault.environment().fill("${DB_PASSWORD}").unwrap(), "${not} a 'reference'");
    assert!(
        notes.contains("DB_HOST") && !notes.contains("db.example") && !notes.contains("reference"),
        "{notes}"
    );
}

#[test]
fn a_secret_is_replaced_where_it_stands_and_nowhere_else() {
    let mut settings = json!({
        "url": "https://a.example/a/mcp?key=a&token=b&page=a",
        "command": ["docker", "run", "-e", "API_TOKEN=e", "-e", "MODE=e", "--token=t", "image"],
        "credential": { "header": "x-key", "value": "two words" },
    });
    let mut vault = vault(&[]);
    vault.conceal("up", &mut settings).unwrap();
    assert_eq!(settings["url"], "https://a.example/a/mcp?key=${UP_URL_KEY}&token=${UP_URL_KEY_2}&page=a");
    assert_eq!(
        settings["command"],
        json!([
            "docker",
            "run",
            "-e",
            "API_TOKEN=${UP_API_TOKEN}",
            "-e",
            "MODE=e",
            "--token=${UP_TOKEN_2}",
            "image"
        ])
    );
    assert_eq!(settings["credential"]["value"], "${UP_TOKEN}");
    let segment = looks::in_url("https://a/s/0f9a8b7c6d5e4f3a2b1c0d9e/mcp?x=1").unwrap();
    assert_eq!(segment, 12..36);
}

#[test]
fn a_name_that_is_taken_by_another_value_is_not_used_again() {
    let mut vault = vault(&[("UP_TOKEN", "theirs"), ("UP_KEY", "same")]);
    let mut settings = json!({ "command": ["x"], "env": { "TOKEN": "ours", "KEY": "same" } });
    vault.conceal("up", &mut settings).unwrap();
    assert_eq!(settings["env"], json!({ "TOKEN": "${UP_TOKEN_2}", "KEY": "${UP_KEY}" }));
    assert_eq!(vault.names(), ["UP_TOKEN_2"], "what is there already is not written again");
    // A server may be called like the gateway's own settings.
    let mut own = json!({ "command": ["x"], "env": { "INVOICE_KEY": "abcdef" } });
    vault.conceal("lnbits", &mut own).unwrap();
    assert_eq!(own["env"]["INVOICE_KEY"], "${LNBITS_INVOICE_KEY_2}");
}

#[test]
fn every_value_is_read_back_as_it_was() {
    for value in [
        "plain",
        "with space",
        "a'b",
        "a\"b",
        "$HOME",
        "${X}",
        "a\\nb",
        "line\nbreak",
        "#x",
        "a=b",
        "'",
        "it's $5 \"or\" \\ so",
    ] {
        let line = line("NAME", value).unwrap();
        let read = dotenvy::from_read_iter(line.as_bytes()).next().unwrap().unwrap();
        assert_eq!(read, ("NAME".to_owned(), value.to_owned()), "{line}");
    }
}
