//! Each program gives the target of its own name what coverage chose. Its words go into a dictionary, before libFuzzer reads its flags.
#![no_main]

use std::fs;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tollgate_fuzz::{Target, target};

static TARGET: LazyLock<&Target> =
    LazyLock::new(|| target(env!("CARGO_BIN_NAME")).expect("a target of this name"));

fuzz_target!(init: write_words(), |input: &[u8]| (TARGET.check)(input));

fn write_words() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/target/dictionaries");
    let written = |word: &str| word.bytes().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
    let lines: String = ["# words\n".to_owned()]
        .into_iter()
        .chain(TARGET.words.iter().map(|word| format!("\"{}\"\n", written(word))))
        .collect();
    fs::create_dir_all(folder).expect("a folder for dictionaries");
    fs::write(format!("{folder}/{}", TARGET.name), lines).expect("a dictionary");
}
