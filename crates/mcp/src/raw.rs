//! Raw JSON objects and arrays apart from any message: their parts as slices, and edits as byte splices.
//!
//! For what is put together from parts of several messages, such as one list from many: every part keeps its bytes.

use bytes::Bytes;

use crate::json::{self, JsonError, Limits, Scanner};
use crate::object::{Edits, Object};

#[cfg(test)]
mod tests;

/// The members of a raw object in their order: unescaped name and raw value.
///
/// # Errors
/// [`JsonError`] where `raw` is not exactly one strict JSON object.
pub fn members(raw: &Bytes) -> Result<Vec<(String, Bytes)>, JsonError> {
    let mut found = Vec::new();
    object(raw, |scanner, name| {
        let value = scanner.value()?;
        found.push((name.to_owned(), raw.slice(value)));
        Ok(())
    })?;
    Ok(found)
}

/// The elements of a raw array in their order.
///
/// # Errors
/// [`JsonError`] where `raw` is not exactly one strict JSON array.
pub fn elements(raw: &Bytes) -> Result<Vec<Bytes>, JsonError> {
    let mut scanner = Scanner::new(raw, Limits::UPSTREAM)?;
    let mut found = Vec::new();
    scanner.whole(|scanner| {
        if scanner.peek() != Some(b'[') {
            return Err(JsonError::Syntax { at: scanner.at(), expected: "an array" });
        }
        scanner.array(|scanner| {
            found.push(raw.slice(scanner.value()?));
            Ok::<_, JsonError>(())
        })
    })?;
    Ok(found)
}

/// The raw value of one member of a raw object; `None` where it is absent or `raw` is no object.
pub fn member(raw: &Bytes, name: &str) -> Option<Bytes> {
    let found = json::lookup(raw, &[name]).ok().flatten()?;
    Some(raw.slice_ref(found))
}

/// The text of one member of a raw object; `None` where it is absent or no string.
pub fn text(raw: &Bytes, name: &str) -> Option<String> {
    member(raw, name).as_deref().and_then(json::string)
}

/// A raw object with these members set to raw values: one that is there is replaced in its place, a new one goes to the
/// end. No other byte changes.
///
/// # Errors
/// [`JsonError`] where `raw` is not exactly one strict JSON object.
pub fn set(raw: &Bytes, members: &[(&str, &str)]) -> Result<Bytes, JsonError> {
    let scanned = object(raw, |scanner, _| scanner.value().map(|_| ()))?;
    let mut edits = Edits::default();
    scanned.edit(raw, members, |_| false, &mut edits);
    Ok(edits.apply(raw))
}

/// The object with the elements of an array member replaced one by one: `change` gives the new raw element, or `None` for
/// one that keeps its bytes. `None` where nothing changes, or where there is no such array.
pub fn map_elements(
    raw: &Bytes,
    name: &str,
    mut change: impl FnMut(&Bytes) -> Option<Bytes>,
) -> Option<Bytes> {
    let array = member(raw, name)?;
    let mut edits = Edits::default();
    let start = array.as_ptr().addr().checked_sub(raw.as_ptr().addr())?;
    let mut changed = false;
    for element in elements(&array).ok()? {
        if let Some(new) = change(&element) {
            let at = start + element.as_ptr().addr().checked_sub(array.as_ptr().addr())?;
            edits.replace(at..at + element.len(), &new);
            changed = true;
        }
    }
    changed.then(|| edits.apply(raw))
}

fn object<'a>(
    raw: &'a Bytes,
    mut visit: impl FnMut(&mut Scanner<'a>, &str) -> Result<(), JsonError>,
) -> Result<Object, JsonError> {
    let mut scanner = Scanner::new(raw, Limits::UPSTREAM)?;
    scanner.whole(|scanner| {
        if scanner.peek() != Some(b'{') {
            return Err(JsonError::Syntax { at: scanner.at(), expected: "an object" });
        }
        Object::scan(scanner, |scanner, name| visit(scanner, &name.text))
    })
}
