//! What a gateway says when it refuses, for people.

use serde_json::Value;

use super::out::one_line;

/// The sentence of a refusal with its code, and the next step.
pub(super) fn in_words(said: &Value) -> String {
    let text = |pointer: &str| said.pointer(pointer).and_then(Value::as_str).map(one_line);
    let Some(message) = text("/error/message") else {
        return "what answered gave no reason that a gateway would give\n\
                next step: name the gateway with --url, and look whether it is one: its /readyz says so"
            .to_owned();
    };
    let code = text("/error/code").map(|code| format!(" ({code})")).unwrap_or_default();
    let next = text("/error/next_step").map(|step| format!("\nnext step: {step}")).unwrap_or_default();
    format!("{message}{code}{next}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_is_a_sentence_and_a_next_step_whoever_answered() {
        let whole = json!({ "error": { "code": "no", "message": "Not now.", "next_step": "Ask\nlater." } });
        assert_eq!(in_words(&whole), "Not now. (no)\nnext step: Ask\\nlater.");
        assert_eq!(in_words(&json!({ "error": { "message": "Not now." } })), "Not now.");
        for other in [json!(null), json!({ "detail": "Not Found" }), json!({ "error": "no" })] {
            assert!(in_words(&other).contains("next step: name the gateway with --url"), "{other}");
        }
    }
}
