//! A caller without a bot around it: for what bots do not do.

use std::time::Instant;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tessera::control::Codec;
use tessera::media::caller::{Caller, Direction, Settings, Source};
use tessera::probe::tone::{Speech, Voice};
use tokio::net::TcpStream;
use tokio::time::timeout_at;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::program::PATIENCE;
use crate::server::Server;

/// A caller that wants to watch with this codec, and has not asked yet.
pub fn watcher(server: &Server, codec: Codec) -> Caller {
    let silence = Voice { frequency: 0, amplitude: 0.0, speech: Speech::Never };
    let settings = Settings {
        audio: Some(Direction::RecvOnly),
        video: Some(Direction::RecvOnly),
        codec,
        ..Settings::new(Source::Synthetic { index: 0, grain: false, voice: silence })
    };
    Caller::new(settings, &server.templates).unwrap()
}

type Line = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A watcher over the WebSocket.
pub struct Guest<'a> {
    server: &'a Server,
    caller: Caller,
    line: Line,
}

impl<'a> Guest<'a> {
    /// Asks for the room and connects.
    #[track_caller]
    pub fn watch(server: &'a Server) -> Self {
        let caller = watcher(server, Codec::Vp8);
        let url = format!("ws://{}/ws/studio?name=Guest", server.program.address);
        let (line, _) = server.runtime.block_on(connect_async(url)).unwrap();
        let mut guest = Self { server, caller, line };
        guest.next("welcome", |_| true);
        let offer = guest.caller.offer().unwrap();
        guest.say(&json!({ "type": "watch", "sdp": offer }));
        // The answer has no candidates: the server finds its way by those of the offer.
        let answer = guest.next("answer", |_| true);
        guest.caller.connect(answer["sdp"].as_str().unwrap(), PATIENCE).unwrap();
        guest
    }

    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    #[track_caller]
    pub fn say(&mut self, message: &Value) {
        self.server.runtime.block_on(self.line.send(Message::text(message.to_string()))).unwrap();
    }

    /// The next message of this type for which `wanted` holds; others are passed over, errors are not.
    #[track_caller]
    pub fn next(&mut self, kind: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let (runtime, line) = (&self.server.runtime, &mut self.line);
        let end = Instant::now() + PATIENCE;
        loop {
            let frame = runtime.block_on(async { timeout_at(end.into(), line.next()).await });
            let frame = frame.unwrap_or_else(|_| panic!("in time: {kind}")).expect("the line is open").unwrap();
            let Message::Text(text) = frame else { panic!("{frame:?} instead of {kind}") };
            let message: Value = serde_json::from_str(&text).unwrap();
            assert_ne!(message["type"], "error", "{message}");
            if message["type"] == kind && wanted(&message) {
                return message;
            }
        }
    }
}
