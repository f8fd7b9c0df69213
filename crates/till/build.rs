//! Embeds the pages of `docs/errors/`, so that every house serves the page of each code it answers with.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    // Asked when it runs: a target folder may serve several checkouts.
    let package =
        env::var_os("CARGO_MANIFEST_DIR").ok_or_else(|| io::Error::other("cargo sets CARGO_MANIFEST_DIR"))?;
    let folder = Path::new(&package).join("../../docs/errors");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut pages: Vec<PathBuf> =
        fs::read_dir(&folder)?.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
    pages.sort();
    let mut table =
        String::from("/// Code and text of every page.\npub(super) const PAGES: &[(&str, &str)] = &[\n");
    for page in pages {
        let name = page.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if page.extension().is_some_and(|extension| extension == "md") && name != "README" {
            let path = page.canonicalize()?;
            writeln!(table, "    ({name:?}, include_str!({:?})),", path.display().to_string())
                .map_err(io::Error::other)?;
        }
    }
    table.push_str("];\n");
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    fs::write(Path::new(&out).join("error_pages.rs"), table)
}
