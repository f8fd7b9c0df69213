//! Where a database is. Holds a password, which is seen nowhere.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A database of PostgreSQL, written `postgresql://user:password@host:port/database`, or as `key=value` pairs. Over a network the
/// connection is encrypted and the server's certificate verified, unless the URL says otherwise (`sslmode=prefer`, `disable`).
#[derive(Clone)]
pub struct DatabaseUrl {
    config: Box<Config>,
}

/// Why a text is not the URL of a database. The text itself is not repeated: it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlError {
    /// It cannot be read.
    #[error("it is no URL of a PostgreSQL database: {0}")]
    Malformed(String),
    /// It does not say where.
    #[error("it names no host")]
    NoHost,
    /// It does not say which.
    #[error("it names no database")]
    NoDatabase,
}

impl DatabaseUrl {
    pub(super) fn config(&self) -> &Config {
        &self.config
    }
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, DatabaseUrlError> {
        let malformed = |error: tokio_postgres::Error| {
            let reason = std::error::Error::source(&error).map(ToString::to_string);
            // It quotes the names of settings, and only those.
            DatabaseUrlError::Malformed(reason.unwrap_or_else(|| "it cannot be parsed".to_owned()))
        };
        let mut config: Config = text.parse().map_err(malformed)?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(DatabaseUrlError::NoHost);
        }
        if config.get_dbname().is_none() {
            return Err(DatabaseUrlError::NoDatabase);
        }
        if !text.contains("sslmode") {
            let mode = if is_local(&config) { SslMode::Disable } else { SslMode::Require };
            config.ssl_mode(mode);
        }
        config.application_name("tollgate").connect_timeout(CONNECT_TIMEOUT);
        // A server that is gone without a word is noticed in half a minute.
        config.tcp_user_timeout(Duration::from_secs(30)).keepalives_idle(Duration::from_secs(15));
        Ok(Self { config: Box::new(config) })
    }
}

impl fmt::Display for DatabaseUrl {
    /// Where and which, without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = self.config.get_dbname().unwrap_or_default();
        match self.config.get_hosts().first() {
            Some(Host::Tcp(host)) => write!(f, "the database {database} at {host}"),
            Some(Host::Unix(folder)) => write!(f, "the database {database} at {}", folder.display()),
            None => write!(f, "the database {database}"),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

/// Whether no byte leaves the machine.
fn is_local(config: &Config) -> bool {
    let hosts = config.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()),
    });
    hosts && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> DatabaseUrl {
        text.parse().unwrap()
    }

    #[test]
    fn a_password_is_never_printed() {
        let url = url("postgresql://tollgate:hunter22@db.example:5432/books");
        assert_eq!(format!("{url} {url:?}").matches("hunter22").count(), 0);
        assert_eq!(url.to_string(), "the database books at db.example");
        assert_eq!(url.config().get_password(), Some(b"hunter22".as_slice()), "control: it is known");
        for broken in ["postgresql://tollgate:hunter22@db.example:port/books", "hunter22"] {
            let error = broken.parse::<DatabaseUrl>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter22"), "{error}");
        }
    }

    #[test]
    fn over_a_network_the_connection_is_encrypted() {
        let mode = |text: &str| url(text).config().get_ssl_mode();
        assert_eq!(mode("postgresql://tollgate@db.example/books"), SslMode::Require);
        assert_eq!(mode("postgresql://tollgate@db.example/books?sslmode=disable"), SslMode::Disable);
        assert_eq!(mode("postgresql://tollgate@127.0.0.1/books"), SslMode::Disable);
        assert_eq!(mode("host=/run/postgresql dbname=books"), SslMode::Disable);
    }

    #[test]
    fn a_url_says_where_and_which() {
        assert_eq!("dbname=books".parse::<DatabaseUrl>().unwrap_err(), DatabaseUrlError::NoHost);
        assert_eq!(
            "postgresql://db.example".parse::<DatabaseUrl>().unwrap_err(),
            DatabaseUrlError::NoDatabase
        );
    }
}
