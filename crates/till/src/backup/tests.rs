use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;
use tollgate_store::{Options, Store};

use super::*;

/// A data directory with a ledger and two keys, and its backup.
fn backed_up() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    drop(Store::open_shared(&data, Options::default()).unwrap());
    for (name, text) in
        [("gate.key", "aa\n"), ("payer.key", "bb\n"), ("dispatch.marks", "x"), ("notes.txt", "x")]
    {
        fs::write(data.join(name), text).unwrap();
    }
    let backup = folder.path().join("backup");
    create(&data, &backup, UnixMillis::new(0)).unwrap();
    (folder, backup)
}

fn restored(from: &Path, data: &Path) -> Result<Manifest, BackupError> {
    restore(from, data, |_| Ok(()))
}

#[test]
fn what_is_restored_is_what_was_backed_up_and_its_owners_alone() {
    let (folder, backup) = backed_up();
    let again = folder.path().join("again");
    let manifest = restored(&backup, &again).unwrap();
    let kept: Vec<&str> = manifest.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(kept, ["ledger.db", "gate.key", "payer.key"], "no marks: what was open may have run");
    assert_eq!(names(&again).unwrap(), ["gate.key", "ledger.db", "payer.key"]);
    assert_eq!(fs::read_to_string(again.join("payer.key")).unwrap(), "bb\n");
    for path in [&backup, &again] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o700);
        for name in names(path).unwrap() {
            let mode = fs::metadata(path.join(&name)).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{name}");
        }
    }
    drop(Store::open_shared(&again, Options::default()).unwrap());
}

#[test]
fn nothing_is_written_over_and_nothing_but_a_data_directory_is_copied() {
    let (folder, backup) = backed_up();
    let data = folder.path().join("data");
    assert!(matches!(restored(&backup, &data), Err(BackupError::NotEmpty(_))));
    assert!(matches!(create(&data, &backup, UnixMillis::new(0)), Err(BackupError::NotEmpty(_))));
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert!(matches!(
        create(&empty, &folder.path().join("b"), UnixMillis::new(0)),
        Err(BackupError::NoLedger(_))
    ));
    assert!(restored(&backup, &empty).is_ok(), "control: an empty folder is filled");
}

#[test]
fn a_backup_that_is_not_the_one_that_was_written_leaves_no_data_directory() {
    let refused = |spoil: &dyn Fn(&Path)| {
        let (folder, backup) = backed_up();
        spoil(&backup);
        let again = folder.path().join("again");
        let error = restored(&backup, &again).unwrap_err().to_string();
        assert_eq!(names(folder.path()).unwrap(), ["backup", "data"], "{error}");
        error
    };
    let flipped = refused(&|backup| {
        let path = backup.join("ledger.db");
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
    });
    assert!(flipped.contains("ledger.db is not the file that was backed up"), "{flipped}");
    assert!(refused(&|backup| fs::remove_file(backup.join("gate.key")).unwrap()).contains("gate.key"));
    assert!(refused(&|backup| fs::remove_file(backup.join(MANIFEST)).unwrap()).contains("is no backup"));
    for name in ["../outside.key", "/etc/passwd", "a/b.key", ".key", "ledger.db-wal", "notes.txt"] {
        let error = refused(&|backup| {
            let path = backup.join(MANIFEST);
            let text = fs::read_to_string(&path).unwrap().replace("gate.key", name);
            fs::write(path, text).unwrap();
        });
        assert!(error.contains("no file of a data directory"), "{name}: {error}");
    }
}

#[test]
fn what_the_last_check_refuses_does_not_become_a_data_directory() {
    let (folder, backup) = backed_up();
    let again = folder.path().join("again");
    let refuse = |staging: &Path| {
        assert!(staging.join("ledger.db").is_file());
        Err(BackupError::NoLedger(staging.to_owned()))
    };
    assert!(restore(&backup, &again, refuse).is_err());
    assert_eq!(names(folder.path()).unwrap(), ["backup", "data"]);
    assert!(restored(&backup, &again).is_ok(), "control");
}

#[test]
fn books_that_are_elsewhere_are_one_file_more_which_whoever_writes_them_back_takes_away() {
    let folder = TempDir::new().unwrap();
    let (data, backup) = (folder.path().join("data"), folder.path().join("backup"));
    fs::create_dir(&data).unwrap();
    fs::write(data.join("gate.key"), "aa\n").unwrap();
    let failing = |_: &Path| Err(BackupError::NoLedger(data.clone()));
    assert!(create_with(&data, &folder.path().join("failed"), UnixMillis::new(0), failing).is_err());
    assert!(!folder.path().join("failed").join(MANIFEST).exists(), "it is no backup");
    let write = |path: &Path| {
        fs::write(path, "books\n").map_err(io(path))?;
        Ok::<_, BackupError>(7)
    };
    let made = create_with(&data, &backup, UnixMillis::new(0), write).unwrap();
    let kept: Vec<_> = made.files.iter().map(|file| (file.name.as_str(), file.schema)).collect();
    assert_eq!(kept, [(BOOKS, Some(7)), ("gate.key", None)]);

    let again = folder.path().join("again");
    let write_back = |staging: &Path| {
        assert_eq!(fs::read_to_string(staging.join(BOOKS)).unwrap(), "books\n");
        fs::remove_file(staging.join(BOOKS)).map_err(io(staging))
    };
    assert_eq!(restore(&backup, &again, write_back).unwrap(), made);
    assert_eq!(names(&again).unwrap(), ["gate.key"]);
    fs::write(backup.join(BOOKS), "other\n").unwrap();
    let changed = restored(&backup, &folder.path().join("third"));
    assert!(matches!(changed, Err(BackupError::Changed { .. })), "{changed:?}");
}
