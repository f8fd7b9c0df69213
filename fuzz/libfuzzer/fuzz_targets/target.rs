//! Every target of `tollgate-fuzz` under libFuzzer: the one that `FUZZ_TARGET` names.
#![no_main]

use std::sync::LazyLock;

static TARGET: LazyLock<&tollgate_fuzz::Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a folder of fuzz/corpus");
    tollgate_fuzz::target(&name).expect("FUZZ_TARGET names a folder of fuzz/corpus")
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| (TARGET.check)(input));
