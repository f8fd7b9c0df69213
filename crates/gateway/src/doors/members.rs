//! The members of a request's body, read strictly and in one pass: what is long in it, such as a call's arguments, is not read twice.

use bytes::Bytes;
use serde::Deserialize;
use tollgate_mcp::Limits;
use tollgate_mcp::json::{JsonError, Scanner};

/// What an object says under names that are known, each as raw JSON.
#[derive(Debug)]
pub(crate) struct Members<'a, const N: usize> {
    names: &'static [&'static str; N],
    raw: [Option<&'a str>; N],
}

impl<'a, const N: usize> Members<'a, N> {
    /// Reads an object that has no other members.
    ///
    /// # Errors
    /// What is wrong with it, for people: it is no strict JSON, no object, or has another member.
    pub(crate) fn read(body: &'a Bytes, names: &'static [&'static str; N]) -> Result<Self, String> {
        let mut raw = [None; N];
        let mut unknown = None;
        let mut scanner = Scanner::new(body, Limits::CALLER).map_err(|error| error.to_string())?;
        let is_object = scanner.whole(|scanner| {
            if scanner.peek() != Some(b'{') {
                return scanner.value().map(|_| false);
            }
            scanner.object(|scanner, name| {
                let value = scanner.value()?;
                let known = names.iter().position(|known| *known == name.text());
                match known.and_then(|place| raw.get_mut(place)) {
                    Some(place) => *place = Some(scanner.slice(value)),
                    None => unknown = Some(name.text().to_owned()),
                }
                Ok::<_, JsonError>(())
            })?;
            Ok(true)
        });
        match (is_object, unknown) {
            (Err(error), _) => Err(error.to_string()),
            (Ok(false), _) => Err("it is no object".to_owned()),
            (Ok(true), Some(name)) => Err(format!("it has no member {name:?}")),
            (Ok(true), None) => Ok(Self { names, raw }),
        }
    }

    /// The raw value under a name; `None` where it is absent or null.
    pub(crate) fn raw(&self, name: &str) -> Option<&'a str> {
        self.said(name).filter(|raw| *raw != "null")
    }

    /// The value under a name; `None` where it is absent or null.
    ///
    /// # Errors
    /// Why it is not what it should be, for people.
    pub(crate) fn value<T: Deserialize<'a>>(&self, name: &str) -> Result<Option<T>, String> {
        self.present(name).map(Option::flatten)
    }

    /// The value under a name; `None` where it is absent. Null is a value like any other.
    ///
    /// # Errors
    /// Why it is not what it should be, for people.
    pub(crate) fn present<T: Deserialize<'a>>(&self, name: &str) -> Result<Option<T>, String> {
        let said = self.said(name).map(serde_json::from_str).transpose();
        said.map_err(|error| format!("`{name}`: {error}"))
    }

    fn said(&self, name: &str) -> Option<&'a str> {
        let place = self.names.iter().position(|known| *known == name)?;
        *self.raw.get(place)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str; 3] = &["tool", "arguments", "auto_pay"];

    fn read(body: &'static str) -> Result<[Option<String>; 3], String> {
        let body = Bytes::from_static(body.as_bytes());
        let members = Members::read(&body, NAMES)?;
        Ok(NAMES.map(|name| members.raw(name).map(str::to_owned)))
    }

    fn says(raw: [Option<&str>; 3]) -> Result<[Option<String>; 3], String> {
        Ok(raw.map(|raw| raw.map(str::to_owned)))
    }

    #[test]
    fn members_are_found_in_any_order_and_null_is_as_good_as_absent() {
        let said = r#" {"arguments": {"a": [1, "}"]} , "tool":"x","auto_pay":null} "#;
        assert_eq!(read(said), says([Some(r#""x""#), Some(r#"{"a": [1, "}"]}"#), None]));
        assert_eq!(read("{}"), says([None; 3]));
    }

    #[test]
    fn a_name_is_read_as_it_says_and_not_as_it_is_spelled() {
        assert_eq!(read(r#"{"\u0074ool":1}"#), says([Some("1"), None, None]));
        assert!(read(r#"{"\u0074ool":1,"tool":2}"#).is_err_and(|reason| reason.contains("twice")));
    }

    #[test]
    fn what_is_not_such_an_object_is_refused_with_the_reason() {
        for (body, reason) in [
            (r#"{"tool":1,"other":2}"#, "no member \"other\""),
            (r#"[{"tool":1}]"#, "no object"),
            ("null", "no object"),
            (r#"{"tool":1"#, "ends inside"),
            (r#"{"tool":1}{}"#, "follows the end"),
            (r#"{"tool":01}"#, "is not"),
        ] {
            let refused = read(body).expect_err(body);
            assert!(refused.contains(reason), "{body}: {refused}");
        }
    }

    #[test]
    fn a_value_of_another_kind_names_its_member() {
        let body = Bytes::from_static(br#"{"tool":"x","auto_pay":"yes"}"#);
        let members = Members::read(&body, NAMES).expect("an object");
        assert_eq!(members.value::<String>("tool"), Ok(Some("x".to_owned())));
        let null = Bytes::from_static(br#"{"auto_pay":null}"#);
        let null = Members::read(&null, NAMES).expect("an object");
        assert_eq!(null.value::<bool>("auto_pay"), Ok(None));
        assert!(null.present::<bool>("auto_pay").is_err_and(|reason| reason.contains("null")));
        let refused = members.value::<bool>("auto_pay").expect_err("a string");
        assert!(refused.starts_with("`auto_pay`: ") && refused.contains("expected a boolean"), "{refused}");
    }
}
