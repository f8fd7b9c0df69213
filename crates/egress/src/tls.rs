//! TLS for outgoing connections: rustls on aws-lc-rs, with the machine's own trust roots.

use std::sync::{Arc, LazyLock};

use rustls::{ClientConfig, RootCertStore};

/// Read once per process: parsing some hundred certificates takes milliseconds.
static CONFIG: LazyLock<Result<ClientConfig, rustls::Error>> = LazyLock::new(build);

/// The TLS configuration of every outgoing connection.
///
/// On a machine without trust roots the configuration trusts nobody: HTTPS then fails with a certificate error, plain HTTP to
/// an operator's own endpoint still works.
pub(crate) fn config() -> Result<ClientConfig, rustls::Error> {
    CONFIG.clone()
}

fn build() -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    // Certificates that cannot be read are skipped, as every TLS client does: one bad file must not take HTTPS away.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
