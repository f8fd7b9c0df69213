//! Counting in the arguments of one call, for prices that depend on them.

use std::cell::OnceCell;

use serde_json::Value;
use tollgate_domain::pricing::{Count, Measure, MeasureError, Reading};

use crate::call::Request;

/// The arguments of a call; read once, and only if something is counted in them.
pub(crate) struct Arguments<'a> {
    request: &'a Request,
    read: OnceCell<Value>,
}

impl<'a> Arguments<'a> {
    pub(crate) fn of(request: &'a Request) -> Self {
        Self { request, read: OnceCell::new() }
    }
}

impl Reading for Arguments<'_> {
    fn count(&self, measure: &Measure) -> Result<u64, MeasureError> {
        if self.request.args_digest.is_some() {
            return Err(MeasureError::DigestOnly);
        }
        // They passed the strict parser: no member stands there twice.
        let arguments =
            self.read.get_or_init(|| serde_json::from_slice(&self.request.arguments).unwrap_or_default());
        let Measure { pointer, of, absent } = measure;
        let Some(value) = arguments.pointer(pointer) else {
            return absent.ok_or_else(|| MeasureError::Absent(pointer.clone()));
        };
        let counted = match of {
            // A number with a point or an exponent is none of these, whatever it comes to: no float is near a price.
            Count::Number => value.as_u64(),
            Count::Characters => value.as_str().and_then(|text| u64::try_from(text.chars().count()).ok()),
            Count::Items => value.as_array().and_then(|items| u64::try_from(items.len()).ok()),
        };
        let refused = || MeasureError::Uncountable { pointer: pointer.clone(), expected: of.expected() };
        counted.ok_or_else(refused)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tollgate_domain::{Digest, Origin, ToolRef};

    use super::*;
    use crate::call::{CreditUse, Presentation};

    fn request(arguments: &str) -> Request {
        Request {
            tool: ToolRef { server: "s".parse().unwrap(), tool: "t".parse().unwrap() },
            arguments: Bytes::copy_from_slice(arguments.as_bytes()),
            args_digest: None,
            api_key: None,
            presented: Presentation::Nothing,
            idempotency_key: None,
            credit: CreditUse::Refused,
            maximum: None,
            origin: Origin::of(std::net::IpAddr::from([127, 0, 0, 1])),
        }
    }

    fn counted(arguments: &str, pointer: &str, of: Count, absent: Option<u64>) -> Option<u64> {
        let measure = Measure { pointer: pointer.to_owned(), of, absent };
        Arguments::of(&request(arguments)).count(&measure).ok()
    }

    #[test]
    fn numbers_characters_and_items_are_counted_where_the_pointer_says() {
        let text = r#"{"n":7,"text":"größe","list":[1,[2,3]],"a/b":{"~":4},"big":18446744073709551615}"#;
        for (pointer, of, expected) in [
            ("/n", Count::Number, 7),
            ("/text", Count::Characters, 5),
            ("/list", Count::Items, 2),
            ("/list/1", Count::Items, 2),
            ("/a~1b/~0", Count::Number, 4),
            ("/big", Count::Number, u64::MAX),
        ] {
            assert_eq!(counted(text, pointer, of, None), Some(expected), "{pointer}");
        }
        assert_eq!(counted(text, "/none", Count::Items, Some(3)), Some(3));
        assert_eq!(counted(text, "/none", Count::Items, None), None);
    }

    #[test]
    fn p8_what_is_no_whole_number_is_not_counted() {
        for number in ["-1", "1.5", "1e2", "1.0", "18446744073709551616", "\"7\"", "null", "true", "[1]"] {
            let text = format!(r#"{{"n":{number}}}"#);
            // What stands there is not absent: it is refused and never counted as the absent.
            assert_eq!(counted(&text, "/n", Count::Number, Some(0)), None, "{number}");
        }
        assert_eq!(counted(r#"{"n":0}"#, "/n", Count::Number, None), Some(0), "control");
        let digest = Request { args_digest: Some(Digest::of(b"{}")), ..request(r#"{"n":1}"#) };
        let measure = Measure { pointer: "/n".to_owned(), of: Count::Number, absent: Some(1) };
        assert_eq!(Arguments::of(&digest).count(&measure), Err(MeasureError::DigestOnly));
    }
}
