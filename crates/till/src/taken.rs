//! Which assets a till takes, written down in its data directory: commands beside a gateway know them without its configuration.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tollgate_domain::{Asset, AssetError, Assets};

use crate::data::DataDirectory;

const FILE: &str = "assets.json";

/// Why it is not known what a till takes.
#[derive(Debug, thiserror::Error)]
pub enum TakenError {
    /// The file cannot be read or written.
    #[error("use {FILE} in the data directory")]
    Io(#[from] std::io::Error),
    /// The file holds something else.
    #[error("read {FILE} in the data directory; the next start of the gateway writes it anew")]
    Text(#[from] serde_json::Error),
    /// An asset in it cannot be.
    #[error("read {FILE} in the data directory: {0}; the next start of the gateway writes it anew")]
    Asset(#[from] AssetError),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: String,
    symbol: String,
    decimals: u8,
}

/// The assets that the till of this data directory took when it was opened last; `None` where none was opened yet, by this version.
///
/// # Errors
/// [`TakenError`].
pub fn taken(data: &Path) -> Result<Option<Assets>, TakenError> {
    let text = match fs::read_to_string(data.join(FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let written: Vec<Written> = serde_json::from_str(&text)?;
    let assets: Result<Vec<Asset>, AssetError> =
        written.iter().map(|asset| Asset::new(&asset.id, &asset.symbol, asset.decimals)).collect();
    Ok(Some(Assets::new(assets?)))
}

/// Written whole under another name first: a crash leaves the list of before.
pub(crate) fn write_down<'a>(
    data: &DataDirectory,
    assets: impl Iterator<Item = &'a Asset>,
) -> Result<(), TakenError> {
    let written: Vec<Written> = assets
        .map(|asset| Written {
            id: asset.id().to_string(),
            symbol: asset.symbol().to_owned(),
            decimals: asset.decimals(),
        })
        .collect();
    let draft = data.path("assets.json.new");
    fs::write(&draft, serde_json::to_string(&written)?)?;
    Ok(fs::rename(&draft, data.path(FILE))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_what_was_written_last() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDirectory::open(folder.path()).unwrap();
        assert!(taken(folder.path()).unwrap().is_none());
        let usdc =
            Asset::new("eip155:8453/erc20:0x833589fcd6edb6e08f4c7c32d4f71b54bda02913", "USDC", 6).unwrap();
        let sat = Asset::new("lightning:mainnet/msat", "sat", 3).unwrap();
        for assets in [vec![&usdc, &sat], vec![&sat], Vec::new()] {
            write_down(&data, assets.iter().copied()).unwrap();
            let known = taken(folder.path()).unwrap().unwrap();
            assert_eq!(known.iter().collect::<Vec<_>>(), assets);
        }
        for broken in ["", "[{}]", r#"[{"id":"x","symbol":"USDC","decimals":6}]"#] {
            fs::write(data.path(FILE), broken).unwrap();
            assert!(taken(folder.path()).is_err(), "{broken}");
        }
    }
}
