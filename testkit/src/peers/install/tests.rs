use super::*;

#[test]
fn a_changed_pin_is_another_folder() {
    let folder = tempfile::tempdir().unwrap();
    let lock = folder.path().join("lock");
    fs::write(&lock, "one").unwrap();
    let before = digest(std::slice::from_ref(&lock)).unwrap();
    assert_eq!(digest(std::slice::from_ref(&lock)).unwrap(), before);
    fs::write(&lock, "two").unwrap();
    assert_ne!(digest(&[lock]).unwrap(), before);
}

#[test]
fn an_interrupted_install_is_made_again_and_a_finished_one_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let lock = folder.path().join("lock");
    // A content of its own, so that no other test run shares the set.
    fs::write(&lock, folder.path().to_string_lossy().as_bytes()).unwrap();
    let name = "install-test";
    let manifests = [lock];
    let broken = complete(name, &manifests, |set| {
        fs::write(set.join("half"), "").unwrap();
        Err(Skip::because("pulled out").into())
    });
    assert!(matches!(broken, Err(PeerError::Skip(_))));

    let set = complete(name, &manifests, |set| {
        assert!(!set.join("half").exists(), "the half install was thrown away");
        fs::write(set.join("whole"), "").unwrap();
        Ok(())
    })
    .unwrap();
    let again = complete(name, &manifests, |_set| panic!("a finished install is kept")).unwrap();
    assert_eq!(again, set);
    assert!(again.join("whole").exists());
    fs::remove_dir_all(set).unwrap();
}

#[test]
fn a_failing_installer_is_reported_with_its_words() {
    let error = run(Command::new("sh").args(["-c", "echo no such package >&2; exit 1"])).unwrap_err();
    assert!(error.to_string().contains("no such package"), "{error}");
    assert!(run(Command::new("sh").args(["-c", "exit 0"])).is_ok());
}
