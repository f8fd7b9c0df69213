//! Whether the program of a server over stdio is there: what only its first caller finds missing helps nobody who has mistyped it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Why a program cannot be started as it is named; `None` if it would be found, as the system looks for it: a path from
/// `directory` on, a bare name in `folders`, which is a `PATH`.
pub(super) fn problem(program: &str, folders: Option<&str>, directory: Option<&Path>) -> Option<String> {
    let is_program = |path: &Path| {
        path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    let is_there = if program.contains('/') {
        is_program(&directory.unwrap_or(Path::new("")).join(program))
    } else if let Some(folders) = folders {
        std::env::split_paths(folders).any(|folder| is_program(&folder.join(program)))
    } else {
        // Without a PATH it depends on the system where it looks.
        true
    };
    let text = "is no program that can be run: no such file here or in PATH, or not executable";
    (!is_there).then(|| format!("{program:?} {text}"))
}

/// The `PATH` among a program's environment variables; the last one counts.
pub(super) fn path_of<'a>(
    variables: impl DoubleEndedIterator<Item = &'a (String, String)>,
) -> Option<&'a str> {
    variables.rev().find(|(name, _)| name == "PATH").map(|(_, folders)| folders.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_looked_for_as_the_system_does() {
        let folder = tempfile::tempdir().unwrap();
        let (here, folders) = (folder.path(), folder.path().to_str().unwrap());
        for (name, mode) in [("runs", 0o755), ("text", 0o644)] {
            let path = here.join(name);
            std::fs::write(&path, "").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let whole = here.join("runs");
        for (program, path, directory) in [
            ("runs", Some(folders), None),
            ("./runs", None, Some(here)),
            (whole.to_str().unwrap(), Some("/nowhere"), Some(Path::new("/nowhere"))),
            ("runs", Some(&*format!("/nowhere:{folders}")), None),
        ] {
            assert_eq!(problem(program, path, directory), None);
        }
        for (program, path, directory) in [
            ("text", Some(folders), None),
            ("missing", Some(folders), Some(here)),
            ("runs", Some("/nowhere"), Some(here)),
            ("./runs", Some(folders), Some(Path::new("/nowhere"))),
            ("./text", Some(folders), Some(here)),
            (folders, None, None),
        ] {
            assert!(problem(program, path, directory).unwrap().contains("not executable"), "{program}");
        }
        let variables =
            [("PATH", "/a"), ("HOME", "/h"), ("PATH", "/b")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(path_of(variables.iter()), Some("/b"));
    }
}
