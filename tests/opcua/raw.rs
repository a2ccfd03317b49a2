//! A client of the plain protocol, made by hand: it sends what it is told to, right or wrong, and
//! costs next to nothing. No test logic.

#![allow(dead_code, reason = "each user of this file needs a part of it")]

use std::collections::VecDeque;
use std::io::Cursor;
use std::net::SocketAddr;

use opcua::core::{Message, RequestMessage, ResponseMessage};
use opcua::types::{
    ActivateSessionRequest, BinaryDecodable, BinaryEncodable, ByteString, ContextOwned,
    CreateSessionRequest, DateTime, DecodingOptions, MessageSecurityMode, NodeId,
    OpenSecureChannelRequest, RequestHeader, SecurityTokenRequestType, StatusCode,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What the server has said at its end.
#[derive(Debug)]
pub struct Ended {
    /// The code of its error message, if it has sent one.
    pub status: Option<StatusCode>,
}

/// A connection.
pub struct Raw {
    pub stream: TcpStream,
    pub channel: u32,
    pub token: u32,
    /// Lifetime of the token in milliseconds.
    pub lifetime: u32,
    sequence: u32,
    request: u32,
    handle: u32,
    context: ContextOwned,
    /// Token of the session.
    pub session: NodeId,
    /// Responses that came while another one was waited for.
    pub others: VecDeque<(u32, ResponseMessage)>,
}

const NO_POLICY: &[u8] = b"http://opcfoundation.org/UA/SecurityPolicy#None";

pub fn hello(url: &str) -> Vec<u8> {
    hello_taking(url, 0)
}

/// Says hello as one who takes messages of so many bytes; 0 for any.
pub fn hello_taking(url: &str, message_max: u32) -> Vec<u8> {
    let mut body = Vec::new();
    for number in [0_u32, 65_536, 65_536, message_max, 0, url.len() as u32] {
        body.extend(number.to_le_bytes());
    }
    body.extend(url.as_bytes());
    frame(b"HELF", &body)
}

pub fn frame(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut frame = kind.to_vec();
    frame.extend((body.len() as u32 + 8).to_le_bytes());
    frame.extend(body);
    frame
}

pub fn context() -> ContextOwned {
    let options = DecodingOptions {
        max_array_length: 1_000_000,
        max_message_size: 0,
        max_chunk_count: 0,
        ..DecodingOptions::default()
    };
    ContextOwned::new_default(Default::default(), options)
}

impl Raw {
    /// Connects and opens a channel without security.
    pub async fn connect(address: SocketAddr) -> Result<Raw, Ended> {
        let mut raw = Raw::greet(address).await?;
        raw.open(SecurityTokenRequestType::Issue, 3_600_000).await?;
        Ok(raw)
    }

    /// Connects as one who takes messages of so many bytes, and logs on.
    pub async fn session_taking(address: SocketAddr, message_max: u32) -> Raw {
        let mut raw = Raw::unknown(address).await;
        raw.write(&hello_taking(&format!("opc.tcp://{address}"), message_max)).await;
        assert_eq!(&raw.read_frame().await.unwrap().0, b"ACKF");
        raw.open(SecurityTokenRequestType::Issue, 3_600_000).await.unwrap();
        raw.log_on().await.unwrap();
        raw
    }

    /// Connects and says nothing.
    pub async fn unknown(address: SocketAddr) -> Raw {
        Raw::over(TcpStream::connect(address).await.unwrap())
    }

    /// Uses a connection on which nothing has been said.
    pub fn over(stream: TcpStream) -> Raw {
        stream.set_nodelay(true).unwrap();
        Raw {
            stream,
            channel: 0,
            token: 0,
            lifetime: 0,
            sequence: 0,
            request: 0,
            handle: 0,
            context: context(),
            session: NodeId::null(),
            others: VecDeque::new(),
        }
    }

    /// Connects and says hello.
    pub async fn greet(address: SocketAddr) -> Result<Raw, Ended> {
        let mut raw = Raw::unknown(address).await;
        raw.say_hello().await?;
        Ok(raw)
    }

    /// Says hello.
    pub async fn say_hello(&mut self) -> Result<(), Ended> {
        let peer = self.stream.peer_addr().map_err(|_| Ended { status: None })?;
        self.write(&hello(&format!("opc.tcp://{peer}"))).await;
        let (kind, _) = self.read_frame().await?;
        assert_eq!(&kind, b"ACKF");
        Ok(())
    }

    /// Opens or renews the channel.
    pub async fn open(
        &mut self,
        request_type: SecurityTokenRequestType,
        lifetime: u32,
    ) -> Result<(), Ended> {
        let request = OpenSecureChannelRequest {
            request_header: self.header(),
            client_protocol_version: 0,
            request_type,
            security_mode: MessageSecurityMode::None,
            client_nonce: ByteString::null(),
            requested_lifetime: lifetime,
        };
        let message = self.encode(&request.into());
        self.open_with(&message).await;
        loop {
            let (kind, bytes) = self.read_frame().await?;
            if &kind == b"OPNF" {
                let uri_end = 12 + 4 + NO_POLICY.len() + 8 + 8;
                let ResponseMessage::OpenSecureChannel(response) = self.decode(&bytes[uri_end..])
                else {
                    panic!("no channel")
                };
                self.channel = response.security_token.channel_id;
                self.token = response.security_token.token_id;
                self.lifetime = response.security_token.revised_lifetime;
                return Ok(());
            }
            self.keep(&bytes);
        }
    }

    /// Sends a request to open a channel as it is.
    pub async fn open_with(&mut self, message: &[u8]) {
        let mut body = self.channel.to_le_bytes().to_vec();
        body.extend((NO_POLICY.len() as u32).to_le_bytes());
        body.extend(NO_POLICY);
        body.extend([0xff; 8]);
        let (sequence, request) = (self.next_sequence(), self.next_request());
        body.extend(sequence.to_le_bytes());
        body.extend(request.to_le_bytes());
        body.extend(message);
        self.write(&frame(b"OPNF", &body)).await;
    }

    fn keep(&mut self, bytes: &[u8]) {
        let request = u32::from_le_bytes(bytes[20..24].try_into().unwrap());
        let message = self.decode(&bytes[24..]);
        self.others.push_back((request, message));
    }

    /// Creates and activates a session without a user.
    pub async fn log_on(&mut self) -> Result<(), Ended> {
        let created = self.create_session().await?;
        let ResponseMessage::CreateSession(created) = created else {
            panic!("no session: {created:?}")
        };
        self.session = created.authentication_token.clone();
        let activate = ActivateSessionRequest {
            request_header: self.header(),
            client_signature: Default::default(),
            client_software_certificates: None,
            locale_ids: None,
            user_identity_token: Default::default(),
            user_token_signature: Default::default(),
        };
        let activated = self.call(activate).await?;
        assert!(matches!(activated, ResponseMessage::ActivateSession(_)), "{activated:?}");
        Ok(())
    }

    /// Creates a session and leaves it so.
    pub async fn create_session(&mut self) -> Result<ResponseMessage, Ended> {
        let request = CreateSessionRequest {
            request_header: self.header(),
            session_name: "raw".into(),
            endpoint_url: format!("opc.tcp://{}", self.stream.peer_addr().unwrap()).into(),
            requested_session_timeout: 3_600_000.0,
            ..CreateSessionRequest::default()
        };
        self.call(request).await
    }

    /// Connects and logs on.
    pub async fn session(address: SocketAddr) -> Raw {
        let mut raw = Raw::connect(address).await.unwrap();
        raw.log_on().await.unwrap();
        raw
    }

    pub fn header(&mut self) -> RequestHeader {
        self.handle += 1;
        RequestHeader {
            authentication_token: self.session.clone(),
            timestamp: DateTime::now(),
            request_handle: self.handle,
            timeout_hint: 60_000,
            ..RequestHeader::dummy()
        }
    }

    fn next_sequence(&mut self) -> u32 {
        self.sequence += 1;
        self.sequence
    }

    fn next_request(&mut self) -> u32 {
        self.request += 1;
        self.request
    }

    /// Type id and request.
    pub fn encode(&self, message: &RequestMessage) -> Vec<u8> {
        let context = self.context.context();
        let mut bytes = Vec::new();
        message.type_id().encode(&mut bytes, &context).unwrap();
        message.encode(&mut bytes, &context).unwrap();
        bytes
    }

    fn decode(&self, bytes: &[u8]) -> ResponseMessage {
        let context = self.context.context();
        let mut cursor = Cursor::new(bytes);
        let id = NodeId::decode(&mut cursor, &context).unwrap();
        let id = id.as_object_id().unwrap();
        let message = ResponseMessage::decode_by_object_id(&mut cursor, id, &context).unwrap();
        assert_eq!(cursor.position() as usize, bytes.len(), "bytes are left after {message:?}");
        message
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        // A server that has closed already has said why.
        let _ = self.stream.write_all(bytes).await;
    }

    /// A frame; the error that ends the connection otherwise.
    pub async fn read_frame(&mut self) -> Result<([u8; 4], Vec<u8>), Ended> {
        let mut head = [0; 8];
        let gone = |_| Ended { status: None };
        self.stream.read_exact(&mut head).await.map_err(gone)?;
        let size = u32::from_le_bytes(head[4..].try_into().unwrap()) as usize;
        let mut bytes = vec![0; size];
        bytes[..8].copy_from_slice(&head);
        self.stream.read_exact(&mut bytes[8..]).await.map_err(gone)?;
        let kind: [u8; 4] = head[..4].try_into().unwrap();
        if &kind == b"ERRF" {
            let code = u32::from_le_bytes(bytes[8..12].try_into().unwrap());
            return Err(Ended { status: Some(code.into()) });
        }
        Ok((kind, bytes))
    }

    /// Sends a message as it is, in chunks; gives its request id.
    pub async fn send_bytes(&mut self, message: &[u8]) -> u32 {
        let request = self.next_request();
        let mut out = Vec::new();
        let count = message.len().div_ceil(60_000).max(1);
        for index in 0..count {
            let part = &message[index * 60_000..message.len().min((index + 1) * 60_000)];
            let kind = if index + 1 == count { b"MSGF" } else { b"MSGC" };
            let mut body = self.channel.to_le_bytes().to_vec();
            body.extend(self.token.to_le_bytes());
            body.extend(self.next_sequence().to_le_bytes());
            body.extend(request.to_le_bytes());
            body.extend(part);
            out.extend(frame(kind, &body));
        }
        self.write(&out).await;
        request
    }

    /// Sends a chunk of a request.
    pub async fn send_chunk(&mut self, kind: &[u8; 4], request: u32, part: &[u8]) {
        let mut body = self.channel.to_le_bytes().to_vec();
        for number in [self.token, self.next_sequence(), request] {
            body.extend(number.to_le_bytes());
        }
        body.extend(part);
        self.write(&frame(kind, &body)).await;
    }

    pub async fn send(&mut self, message: impl Into<RequestMessage>) -> u32 {
        let bytes = self.encode(&message.into());
        self.send_bytes(&bytes).await
    }

    /// The next message, without decoding it.
    pub async fn receive_bytes(&mut self) -> Result<(u32, Vec<u8>), Ended> {
        let mut message = Vec::new();
        loop {
            let (kind, bytes) = self.read_frame().await?;
            let request = u32::from_le_bytes(bytes[20..24].try_into().unwrap());
            message.extend_from_slice(&bytes[24..]);
            if &kind == b"MSGF" {
                return Ok((request, message));
            }
        }
    }

    /// The next message.
    pub async fn receive(&mut self) -> Result<(u32, ResponseMessage), Ended> {
        let (request, bytes) = self.receive_bytes().await?;
        Ok((request, self.decode(&bytes)))
    }

    /// The answer to a request; others are kept.
    pub async fn answer(&mut self, request: u32) -> Result<ResponseMessage, Ended> {
        if let Some(at) = self.others.iter().position(|(known, _)| *known == request) {
            return Ok(self.others.remove(at).unwrap().1);
        }
        loop {
            let (known, message) = self.receive().await?;
            if known == request {
                return Ok(message);
            }
            self.others.push_back((known, message));
        }
    }

    /// Sends a request and waits for its answer.
    pub async fn call(
        &mut self,
        message: impl Into<RequestMessage>,
    ) -> Result<ResponseMessage, Ended> {
        let request = self.send(message).await;
        self.answer(request).await
    }

    /// Sends bytes as a request and waits for the answer.
    pub async fn call_bytes(&mut self, message: &[u8]) -> Result<ResponseMessage, Ended> {
        let request = self.send_bytes(message).await;
        self.answer(request).await
    }
}

/// The status of an answer as a whole.
pub fn result(message: &ResponseMessage) -> StatusCode {
    message.response_header().service_result
}
