//! A mediation service of somebody else's: it checks what it is sent, and answers as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

pub(super) const SECRET: &str = "mediation-secret-of-a-test-01234567";

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Question {
    /// Its `Idempotency-Key`.
    pub(super) key: String,
    /// Whether its signature is that of the secret over moment and body.
    pub(super) is_signed: bool,
    pub(super) body: Value,
}

#[derive(Default)]
struct Memory {
    asked: Vec<Question>,
    answers: VecDeque<(u16, String)>,
}

/// The service. Without an answer to give it closes the connection.
pub(super) struct MediatorService {
    port: u16,
    memory: Arc<Mutex<Memory>>,
}

impl MediatorService {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let memory = Arc::<Mutex<Memory>>::default();
        let shared = Arc::clone(&memory);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                serve(socket, &shared).await;
            }
        });
        Self { port, memory }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/verdicts", self.port)
    }

    /// What it answers next, after what it was told before.
    pub(super) fn answers(&self, status: u16, body: &str) {
        self.memory.lock().unwrap().answers.push_back((status, body.to_owned()));
    }

    pub(super) fn asked(&self) -> Vec<Question> {
        self.memory.lock().unwrap().asked.clone()
    }
}

/// One request on one connection, read by hand: nothing of the gateway's own reads it.
async fn serve(mut socket: TcpStream, memory: &Mutex<Memory>) {
    let (read, mut write) = socket.split();
    let mut read = BufReader::new(read);
    let (mut key, mut signature, mut length) = (String::new(), String::new(), 0);
    loop {
        let mut line = String::new();
        if read.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            if line.trim_end().is_empty() {
                break;
            }
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "idempotency-key" => value.clone_into(&mut key),
            "tollgate-signature" => value.clone_into(&mut signature),
            "content-length" => length = value.parse().unwrap(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    read.read_exact(&mut body).await.unwrap();
    let is_signed = is_signed(&signature, &body);
    let question = Question { key, is_signed, body: serde_json::from_slice(&body).unwrap() };
    let answer = {
        let mut memory = memory.lock().unwrap();
        memory.asked.push(question);
        memory.answers.pop_front()
    };
    let Some((status, text)) = answer else { return };
    let length = text.len();
    let head =
        format!("HTTP/1.1 {status} Said\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}");
    drop(write.write_all(head.as_bytes()).await);
}

fn is_signed(signature: &str, body: &[u8]) -> bool {
    let Some((moment, sealed)) = signature.strip_prefix("t=").and_then(|rest| rest.split_once(",v1=")) else {
        return false;
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(moment.as_bytes());
    mac.update(b".");
    mac.update(body);
    hex::decode(sealed).is_ok_and(|sealed| mac.verify_slice(&sealed).is_ok())
}
