use proptest::prelude::*;
use serde_json::json;

use super::*;

fn server() -> Value {
    json!({ "url": "http://127.0.0.1:7101/mcp", "tools": { "echo": { "price": ["0.01USDC", "10sat"] } } })
}

const COMMENTED: &str = "\
# The gateway of the house.
listen: 127.0.0.1:3100   # loopback

servers:
    # the weather people
    weather:
        url: 'http://127.0.0.1:1/mcp'   # theirs
        tools: {forecast: {price: [\"10sat\"]}}
    # about weather, too

# money
payment:
    x402: { pay_to: \"0x70997970C51812dc3A010C7d01b50e0d17dc79C8\" }
";

#[test]
fn a_server_is_added_behind_the_last_one_in_the_indentation_of_the_file() {
    let added = put(COMMENTED, "up", &server(), Existing::Kept).unwrap();
    let entry = "    up:\n        url: http://127.0.0.1:7101/mcp\n        tools:\n            echo: { price: [0.01USDC, 10sat] }\n";
    let (before, after) = COMMENTED.split_once("\n# money").unwrap();
    assert_eq!(added, format!("{before}{entry}\n# money{after}"));
}

#[test]
fn what_is_removed_again_leaves_the_text_as_it_was() {
    for text in TEXTS {
        let added =
            put(text, "zz-new", &server(), Existing::Kept).unwrap_or_else(|error| panic!("{error}: {text}"));
        let removed = remove(&added, "zz-new").unwrap_or_else(|error| panic!("{error}: {added}"));
        let before = meaning(text).unwrap().get("servers").filter(|servers| !servers.is_null()).cloned();
        let nothing = json!({});
        assert_eq!(meaning(&removed).unwrap()["servers"], *before.as_ref().unwrap_or(&nothing), "{removed}");
        if before.is_some_and(|servers| servers != nothing) {
            // A line end is all that a text without a last one gains.
            assert_eq!(
                removed.strip_suffix('\n').filter(|_| !text.ends_with('\n')).unwrap_or(&removed),
                *text
            );
        }
    }
}

/// Texts of every layout that people write.
const TEXTS: &[&str] = &[
    "",
    "# nothing yet\n",
    "---\n",
    "listen: 127.0.0.1:3100",
    "listen: 127.0.0.1:3100\r\nservers:\r\n  a:\r\n    url: http://a/\r\n",
    "servers:\n",
    "servers: # none\nlisten: 127.0.0.1:3100\n",
    "servers: ~\n",
    "servers: {}   # none\n",
    "servers: {a: {url: \"http://a/\"}}\n",
    "servers: {\n  a: {url: \"http://a/\"},   # first\n}\n",
    "{}\n",
    "{ listen: \"127.0.0.1:1\" }\n",
    "{ \"servers\": { \"a\": { \"url\": \"http://a/\" } }, \"listen\": \"127.0.0.1:1\" }\n",
    "\u{feff}servers:\n  a: {url: 'http://a/'}\n",
    "servers:\n  a:\n    url: http://a/",
    "servers:\n  a:\n    command: [sh, -c, \"echo # no comment\"]\n    env:\n      TEXT: |\n        # a line\n        another\n\n\nlisten: 127.0.0.1:1\n",
    "servers:\n a:\n  url: http://a/\n b: {url: http://b/}\n\n\n# the end\n",
    "x: &x {url: http://a/}\nservers:\n  a: *x\n",
    "servers:\n  \"a\":\n    url: >-\n      http://a/\nlisten: 127.0.0.1:1\n...\n",
    "servers:\n  größe:\n    url: http://a/ # ü\n  b:\n    url: http://b/\n",
];

#[test]
fn every_other_byte_of_the_text_stays() {
    for text in TEXTS {
        let added = put(text, "zz-new", &server(), Existing::Kept).unwrap();
        assert_kept(text, &added);
    }
}

/// What was there is there still, in its order: the change is one insertion, but for a word that stood for nothing.
fn assert_kept(before: &str, after: &str) {
    let is_insertion = |old: &str| {
        let (old, new) = (old.as_bytes(), after.as_bytes());
        let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
        let tail = old[head..].iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
        head + tail == old.len()
    };
    let nothing = ["servers: {}", "servers: ~"].map(|nothing| before.replacen(nothing, "servers:", 1));
    assert!(
        is_insertion(before) || nothing.iter().any(|old| is_insertion(old)),
        "{before:?} became {after:?}"
    );
}

#[test]
fn a_server_is_replaced_where_it_stands_and_only_when_asked() {
    let refused = put(COMMENTED, "weather", &server(), Existing::Kept).unwrap_err();
    assert_eq!(refused, EditError::Exists("weather".to_owned()));
    let replaced = put(COMMENTED, "weather", &server(), Existing::Replaced).unwrap();
    assert!(replaced.starts_with(COMMENTED.split_once("    weather:").unwrap().0), "{replaced}");
    assert!(replaced.ends_with(COMMENTED.split_once("[\"10sat\"]}}\n").unwrap().1), "{replaced}");
    assert!(!replaced.contains("theirs"), "{replaced}");
    let flow = put(
        "servers: {a: {url: \"http://a/\"}, b: {}} # both\n",
        "a",
        &json!({ "url": "x" }),
        Existing::Replaced,
    );
    assert_eq!(flow.unwrap(), "servers: {a: { url: x }, b: {}} # both\n");
}

#[test]
fn one_of_several_is_removed_and_the_others_stay() {
    let text = "servers:\n  a: {url: x}   # a\n  # of b\n  b:\n    url: y\n    # inside b\n  c: {url: z}\n";
    assert_eq!(
        remove(text, "a").unwrap(),
        "servers:\n  # of b\n  b:\n    url: y\n    # inside b\n  c: {url: z}\n"
    );
    assert_eq!(remove(text, "c").unwrap(), text.replace("  c: {url: z}\n", ""));
    let flow = "servers: {a: {url: x}, b: {url: y}, c: {url: z}}\n";
    assert_eq!(remove(flow, "a").unwrap(), "servers: {b: {url: y}, c: {url: z}}\n");
    assert_eq!(remove(flow, "c").unwrap(), "servers: {a: {url: x}, b: {url: y}}\n");
    assert_eq!(remove(text, "d").unwrap_err(), EditError::Missing("d".to_owned()));
    assert_eq!(remove("servers: {a: {url: x},}\n", "a").unwrap(), "servers: {}\n");
}

#[test]
fn what_cannot_be_changed_byte_for_byte_is_left_to_its_owner() {
    let add = |text: &str| put(text, "up", &server(), Existing::Kept).unwrap_err();
    assert!(put("x: 1\nservers: {}\n", "up", &server(), Existing::Kept).is_ok(), "control");
    assert!(matches!(add("x: &x {}\nservers: *x\n"), EditError::Shape(_)));
    assert!(matches!(add("servers: [a]\n"), EditError::Shape(_)));
    assert!(matches!(add("- a\n"), EditError::Shape(_)));
    assert!(matches!(add("servers: {a: \n"), EditError::Yaml(_)));
    let anchored = "servers:\n  a: &a {url: x}\n  b: *a\n";
    assert!(remove(anchored, "a").is_err(), "the other one refers to it");
}

#[test]
fn values_that_yaml_would_take_for_something_else_are_quoted() {
    let odd = json!({
        "command": ["npx", "-y", "@scope/pkg", "true", "1.0", "0x1f", "a: b", "#x", "", " ", "ünï", "{x}", "- a", "1e3"],
        "env": { "A": "off", "NULL": "null", "B": "${B}", "C": "line\nbreak\t\"quoted\" \\ back", "D": "0b1", "E": "12:30:00" },
    });
    let added = put("", "odd", &odd, Existing::Kept).unwrap();
    assert_eq!(meaning(&added).unwrap()["servers"]["odd"], odd, "{added}");
}

fn comment() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[ a-zA-Z:#{}\\[\\]'\"-]{0,20}".prop_map(|text| format!(" #{text}"))]
}

/// A file as somebody may have written it: indentation, comments, blank lines, line ends and styles of their own.
fn file() -> impl Strategy<Value = String> {
    let entry = ("[a-y][a-z0-9]{0,6}", comment(), comment(), 0..3_usize, any::<bool>());
    (1..5_usize, prop::collection::vec(entry, 0..4), comment(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(step, entries, note, crlf, more, ended)| {
            let pad = " ".repeat(step);
            let mut text = format!("# top\nlisten: 127.0.0.1:1{note}\nservers:");
            text.push_str(if entries.is_empty() { " {}" } else { "" });
            text.push_str(&note);
            text.push('\n');
            for (place, (name, above, behind, blanks, is_flow)) in entries.iter().enumerate() {
                text.push_str(&"\n".repeat(*blanks));
                if !above.is_empty() {
                    text.push_str(&format!("{pad}{}\n", above.trim_start()));
                }
                let name = format!("{name}-{place}");
                text.push_str(&match is_flow {
                    true => format!("{pad}{name}: {{ url: \"http://a/\" }}{behind}\n"),
                    false => format!("{pad}{name}:{behind}\n{pad}{pad}url: http://a/\n{pad}{pad}env: {{ A: '1' }}{behind}\n"),
                });
            }
            if more {
                text.push_str("\n# tail\nreceipts:\n  free_calls: true\n");
            }
            if !ended {
                text.pop();
            }
            if crlf { text.replace('\n', "\r\n") } else { text }
        },
    )
}

proptest! {
    #[test]
    fn whatever_the_file_looks_like_one_server_is_all_that_changes(text in file()) {
        let added = put(&text, "zz-new", &server(), Existing::Kept).unwrap();
        assert_kept(&text, &added);
        // One insertion: taken out again, byte for byte what was there.
        let old = meaning(&text).unwrap()["servers"].as_object().unwrap().len();
        let removed = remove(&added, "zz-new").unwrap();
        if old > 0 {
            let line = if text.contains("\r\n") { "\r\n" } else { "\n" };
            let bare = removed.strip_suffix(line).filter(|_| !text.ends_with('\n')).unwrap_or(&removed);
            prop_assert_eq!(bare, &text);
        }
        // Replacing says the same again.
        let again = put(&added, "zz-new", &server(), Existing::Replaced).unwrap();
        prop_assert_eq!(again, added);
    }
}
