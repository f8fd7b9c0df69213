use http::{HeaderMap, HeaderValue, header};

use super::{expected, page};

#[test]
fn one_etag_is_a_version_and_a_list_of_them_is_none() {
    let read = |line: &str| {
        let headers = HeaderMap::from_iter([(header::IF_MATCH, HeaderValue::from_str(line).unwrap())]);
        expected(&headers).ok()
    };
    assert_eq!(read("\"5f2c\""), Some(Some("5f2c".to_owned())), "control");
    assert_eq!(read("*"), Some(None));
    for refused in ["\"5f2c\", \"77aa\"", "W/\"5f2c\"", "5f2c", "\"", ""] {
        assert_eq!(read(refused), None, "{refused}");
    }
}

#[test]
fn a_page_of_the_audit_is_within_its_limits() {
    assert_eq!(page("").unwrap(), (None, 100));
    assert_eq!(page("limit=1000&before=7").unwrap(), (Some(7), 1000));
    for refused in ["limit=0", "limit=1001", "limit=-1", "limit", "before=", "after=1"] {
        assert!(page(refused).is_err(), "{refused}");
    }
}
