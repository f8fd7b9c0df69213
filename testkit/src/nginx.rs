//! Debian's nginx as the measure of a proxy (one worker, a keep-alive pool to the upstream, nothing logged), and as a cache that
//! everybody shares.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::cpu;
use crate::http;
use crate::peers::{PeerError, Skip, port};
use crate::process::Guarded;

const READY_SECONDS_MAX: u64 = 30;

/// Whether nginx collects an answer before it passes it on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Buffering {
    /// Its default.
    #[default]
    On,
    /// As streams need it.
    Off,
}

/// A running nginx in front of one upstream. It dies with this value.
#[derive(Debug)]
pub struct Nginx {
    process: Guarded,
    address: SocketAddr,
    _folder: TempDir,
}

impl Nginx {
    /// Starts nginx on a free loopback port.
    ///
    /// # Errors
    /// [`PeerError::Skip`] when nginx is not installed.
    pub async fn start(upstream: SocketAddr, buffering: Buffering) -> Result<Self, PeerError> {
        Self::with(upstream, buffering, "", "").await
    }

    /// Starts it as a cache that all of its clients share: of whatever is not said to be somebody's own it keeps one answer for each path,
    /// whoever asks, by which method and for what. `X-Cache` says where an answer comes from.
    ///
    /// # Errors
    /// [`PeerError::Skip`] when nginx is not installed.
    pub async fn sharing(upstream: SocketAddr) -> Result<Self, PeerError> {
        // Its worker writes answers into the folder of the test. A demand to pay has long headers.
        let path = "proxy_cache_path cache keys_zone=answers:1m; proxy_buffer_size 32k; proxy_buffers 8 32k;";
        let cache = "proxy_cache answers; proxy_cache_key $request_uri; proxy_cache_methods GET HEAD POST; \
             proxy_cache_valid any 10m; add_header X-Cache $upstream_cache_status always;";
        Self::with(upstream, Buffering::On, path, cache).await
    }

    async fn with(
        upstream: SocketAddr,
        buffering: Buffering,
        for_all: &str,
        for_each: &str,
    ) -> Result<Self, PeerError> {
        let program = installed("nginx", &["nginx", "/usr/sbin/nginx"], "-v")?;
        port::on_a_free_port(async |port| {
            let folder = tempfile::tempdir()?;
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            let path = folder.path().join("nginx.conf");
            std::fs::write(&path, configuration(address, upstream, buffering, [for_all, for_each]))?;
            let mut command = Command::new(program);
            command.arg("-p").arg(folder.path()).arg("-c").arg(&path).args(["-e", "stderr"]);
            let mut process = Guarded::spawn(&command, &folder.path().join("nginx.log"))?;
            let probe = format!("http://{address}/");
            let ready = async || http::get(&probe, &[]).await.is_ok();
            process.wait_until(Duration::from_secs(READY_SECONDS_MAX), ready).await?;
            Ok(Self { process, address, _folder: folder })
        })
        .await
    }

    /// The same path of the upstream, through nginx.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What nginx has run so far, master and worker together.
    ///
    /// # Errors
    /// See [`cpu::of_group`].
    pub fn cpu_time(&self) -> std::io::Result<Duration> {
        cpu::of_group(self.process.group())
    }
}

/// A program of this machine, by the first of `names` that answers `question`.
pub(crate) fn installed(
    package: &str,
    names: &'static [&'static str],
    question: &str,
) -> Result<&'static str, Skip> {
    // wrk answers its version with exit code 1: that it starts at all is what counts.
    let found = names.iter().find(|name| Command::new(name).arg(question).output().is_ok());
    found.copied().ok_or_else(|| Skip::because(format!("{package} is not installed")))
}

fn configuration(
    address: SocketAddr,
    upstream: SocketAddr,
    buffering: Buffering,
    [for_all, for_each]: [&str; 2],
) -> String {
    let buffering = match buffering {
        Buffering::On => "on",
        Buffering::Off => "off",
    };
    // Bodies stay in memory: the worker of a root master may not write to this folder, unless something is to be kept there.
    let user = if for_all.is_empty() { "" } else { "user root;" };
    format!(
        "daemon off;
{user}
worker_processes 1;
pid nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path client_body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  client_max_body_size 4m;
  client_body_buffer_size 4m;
  proxy_max_temp_file_size 0;
  {for_all}
  keepalive_timeout 300s;
  keepalive_requests 1000000000;
  upstream server {{
    server {upstream};
    keepalive 64;
    keepalive_requests 1000000000;
  }}
  server {{
    listen {address};
    location / {{
      proxy_pass http://server;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_set_header Host $http_host;
      proxy_buffering {buffering};
      proxy_read_timeout 300s;
      {for_each}
    }}
  }}
}}
"
    )
}

#[cfg(test)]
mod tests;
