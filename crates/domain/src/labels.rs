use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde_with::{DeserializeFromStr, SerializeDisplay};

/// The most labels that one thing has.
const LABELS_MAX: usize = 16;
const CHARS_MAX: usize = 64;

/// What an operator says of an API key, such as to which organisation and team its holder belongs. At most 16 names with one
/// value each, of 1 to 64 characters `a-z A-Z 0-9 - _ .`. Written `org=acme,team=research`, in the order of the names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, SerializeDisplay, DeserializeFromStr)]
pub struct Labels(Arc<BTreeMap<String, String>>);

/// Why a text is no [`Labels`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelsError {
    /// One of them is not a name with a value.
    #[error(
        "{0:?} is not a label such as team=research: letters, digits, \"-\", \"_\" and \".\", at most 64 on each side"
    )]
    Label(String),
    /// A name comes twice.
    #[error("the label {0:?} is given twice")]
    Twice(String),
    /// There are too many.
    #[error("more than {LABELS_MAX} labels")]
    TooMany,
}

impl Labels {
    /// These labels, each written `name=value`.
    ///
    /// # Errors
    /// [`LabelsError`].
    pub fn new<'a>(labels: impl IntoIterator<Item = &'a str>) -> Result<Self, LabelsError> {
        let mut known = BTreeMap::new();
        for label in labels {
            let malformed = || LabelsError::Label(label.chars().take(2 * CHARS_MAX).collect());
            let (name, value) = label.split_once('=').ok_or_else(malformed)?;
            if !is_word(name) || !is_word(value) {
                return Err(malformed());
            }
            if known.insert(name.to_owned(), value.to_owned()).is_some() {
                return Err(LabelsError::Twice(name.to_owned()));
            }
        }
        if known.len() > LABELS_MAX {
            return Err(LabelsError::TooMany);
        }
        Ok(Self(Arc::new(known)))
    }

    /// The value of one.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn is_word(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !text.is_empty() && text.len() <= CHARS_MAX && text.bytes().all(allowed)
}

impl FromStr for Labels {
    type Err = LabelsError;

    fn from_str(text: &str) -> Result<Self, LabelsError> {
        if text.is_empty() { Ok(Self::default()) } else { Self::new(text.split(',')) }
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            write!(f, "{}{name}={value}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{self}]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_one_text_form() {
        let labels: Labels = "team=research,org=acme".parse().unwrap();
        assert_eq!(labels.to_string(), "org=acme,team=research");
        assert_eq!(labels.to_string().parse(), Ok(labels.clone()));
        assert_eq!((labels.get("team"), labels.get("project")), (Some("research"), None));
        assert_eq!("".parse(), Ok(Labels::default()));
    }

    #[test]
    fn what_is_no_label_is_refused() {
        for text in [
            "team",
            "=x",
            "team=",
            "team=a b",
            "team=a=b",
            ",",
            "team=a,",
            &format!("team={}", "a".repeat(65)),
        ] {
            assert!(matches!(text.parse::<Labels>(), Err(LabelsError::Label(_))), "{text:?}");
        }
        assert_eq!("a=1,a=2".parse::<Labels>(), Err(LabelsError::Twice("a".to_owned())));
        let many = |count: u32| (0..count).map(|n| format!("l{n}=x")).collect::<Vec<_>>().join(",");
        assert!(many(16).parse::<Labels>().is_ok(), "control");
        assert_eq!(many(17).parse::<Labels>(), Err(LabelsError::TooMany));
    }
}
