//! A WebSocket client of `src/protocol.rs` without media.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::OFFER;
use crate::program::PATIENCE;
use crate::server::Server;

pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// Connects and takes the welcome.
    pub async fn open(server: &Server, path: &str) -> (Self, Value) {
        let (stream, _) = connect_async(format!("ws://{}{path}", server.program.address)).await.unwrap();
        let mut socket = Self(stream);
        let welcome = socket.next(&["welcome"]).await;
        (socket, welcome)
    }

    /// Connects and joins with an offer that no media follows.
    pub async fn join(server: &Server, path: &str) -> Self {
        let (mut socket, _) = Self::open(server, path).await;
        socket.say(&json!({ "type": "join", "sdp": OFFER })).await;
        socket.next(&["answer"]).await;
        socket
    }

    pub async fn say(&mut self, message: &Value) {
        self.say_text(&message.to_string()).await;
    }

    pub async fn say_text(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    /// The next message of one of these types; others are passed over.
    pub async fn next(&mut self, kinds: &[&str]) -> Value {
        loop {
            let message = timeout(PATIENCE, self.0.next()).await.expect("the server says something");
            let Some(Ok(Message::Text(text))) = message else { panic!("{message:?} instead of {kinds:?}") };
            let message: Value = serde_json::from_str(&text).unwrap();
            if kinds.iter().any(|kind| message["type"] == *kind) {
                return message;
            }
        }
    }
}
