//! The keys a payer pays with. Owns the key file; never prints a key.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tollgate_rails::evm::{Address, SigningKey};

use crate::{LightningPayer, NoRandomness, Randomness};

/// What a payer can pay with.
#[derive(Clone, Default)]
pub struct Wallets {
    /// Signs x402 payments.
    pub evm: Option<EvmWallet>,
    /// Pays Lightning invoices.
    pub lightning: Option<Arc<dyn LightningPayer>>,
}

impl fmt::Debug for Wallets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lightning = self.lightning.as_ref().map(|wallet| wallet.name());
        f.debug_struct("Wallets").field("evm", &self.evm).field("lightning", &lightning).finish()
    }
}

/// One EVM account: a secp256k1 key in a file that only its owner can read.
#[derive(Clone, Debug)]
pub struct EvmWallet {
    key: SigningKey,
}

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    /// The file cannot be read.
    #[error("could not read the key file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others on this machine can read or change the file.
    #[error("the key file {path} is open to others (mode {mode:o}); set it to 600")]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file does not hold 64 hexadecimal digits of a valid key.
    #[error("the key file {0} does not hold 32 bytes of a secp256k1 key in hexadecimal")]
    Malformed(PathBuf),
    /// A new file cannot be written.
    #[error("could not create the key file {path}")]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No randomness for a new key.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl EvmWallet {
    /// The wallet of this key.
    pub fn new(key: SigningKey) -> Self {
        Self { key }
    }

    /// Opens a key file: 32 bytes in hexadecimal, with or without `0x`, readable by its owner only.
    ///
    /// # Errors
    /// [`WalletError`]: what is wrong with the file.
    pub fn open(path: &Path) -> Result<Self, WalletError> {
        let read = |source| WalletError::Read { path: path.to_owned(), source };
        let mode = fs::metadata(path).map_err(read)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(WalletError::OpenToOthers { path: path.to_owned(), mode });
        }
        let text = fs::read_to_string(path).map_err(read)?;
        let digits = text.trim();
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits.strip_prefix("0x").unwrap_or(digits), &mut bytes)
            .map_err(|_| WalletError::Malformed(path.to_owned()))?;
        let key = SigningKey::from_bytes(&bytes).map_err(|_| WalletError::Malformed(path.to_owned()))?;
        Ok(Self { key })
    }

    /// Opens a key file, or makes a new key and file (mode 0600) when there is none. An existing file is never replaced,
    /// whoever made it meanwhile.
    ///
    /// # Errors
    /// [`WalletError`]: which step failed.
    pub fn open_or_create(path: &Path, randomness: &dyn Randomness) -> Result<Self, WalletError> {
        match Self::open(path) {
            Err(WalletError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        let secret = randomness.bytes()?;
        SigningKey::from_bytes(&secret).map_err(|_| WalletError::NoRandomness(NoRandomness))?;
        let suffix = hex::encode(randomness.bytes()?.first_chunk::<8>().copied().unwrap_or_default());
        let fresh = path.with_extension(format!("new-{suffix}"));
        let linked = write_private(&fresh, &format!("{}\n", hex::encode(secret)))
            // A link appears whole or not at all, and never over a file that is there.
            .and_then(|()| fs::hard_link(&fresh, path));
        let removed = fs::remove_file(&fresh);
        match linked {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => {
                return Err(WalletError::Create { path: path.to_owned(), source });
            }
        }
        removed.map_err(|source| WalletError::Create { path: path.to_owned(), source })?;
        Self::open(path)
    }

    /// The account's address.
    pub const fn address(&self) -> Address {
        self.key.address()
    }

    /// The key, for signing inside this crate.
    pub(crate) const fn key(&self) -> &SigningKey {
        &self.key
    }
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
