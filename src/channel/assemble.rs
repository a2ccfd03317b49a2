//! Chunks to messages (Part 6 §6.7.3). What is held back is bounded per message and, for messages
//! of more than one chunk, over all connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use opcua::types::StatusCode;

use super::frame::ChunkKind;
use super::symmetric::Chunk;

/// How large a message may be.
#[derive(Clone, Copy, Debug)]
pub struct MessageLimits {
    /// Bytes of all its chunks.
    pub size: usize,
    /// Chunks.
    pub chunks: usize,
}

/// Bytes of unfinished messages over all connections.
#[derive(Clone, Debug)]
pub struct Budget {
    left: Arc<AtomicUsize>,
}

impl Budget {
    /// A budget of bytes.
    pub fn new(bytes: usize) -> Budget {
        Budget { left: Arc::new(AtomicUsize::new(bytes)) }
    }

    fn take(&self, bytes: usize) -> bool {
        let less = |left: usize| left.checked_sub(bytes);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    fn give(&self, bytes: usize) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What is left.
    pub fn left(&self) -> usize {
        self.left.load(Ordering::Relaxed)
    }
}

/// A message that is whole.
#[derive(Debug)]
pub struct Message {
    /// Request id.
    pub request: u32,
    /// Type id and request.
    pub body: Bytes,
}

/// Puts the chunks of one connection together.
pub struct Assembler {
    budget: Budget,
    request: u32,
    parts: Vec<Bytes>,
    size: usize,
}

impl Assembler {
    /// Nothing yet.
    pub fn new(budget: Budget) -> Assembler {
        Assembler { budget, request: 0, parts: Vec::new(), size: 0 }
    }

    /// Adds a chunk; gives the message when it was the last one of it.
    pub fn add(
        &mut self,
        chunk: Chunk,
        limits: MessageLimits,
    ) -> Result<Option<Message>, StatusCode> {
        if !self.parts.is_empty() && chunk.request != self.request {
            return Err(StatusCode::BadSequenceNumberInvalid);
        }
        if chunk.kind == ChunkKind::Abort {
            self.clear();
            return Ok(None);
        }
        if self.size + chunk.body.len() > limits.size || self.parts.len() >= limits.chunks {
            return Err(StatusCode::BadTcpMessageTooLarge);
        }
        let request = chunk.request;
        if self.parts.is_empty() && chunk.kind == ChunkKind::Final {
            return Ok(Some(Message { request, body: chunk.body }));
        }
        if !self.budget.take(chunk.body.len()) {
            return Err(StatusCode::BadTcpNotEnoughResources);
        }
        self.request = request;
        self.size += chunk.body.len();
        self.parts.push(chunk.body);
        if chunk.kind != ChunkKind::Final {
            return Ok(None);
        }
        let mut body = BytesMut::with_capacity(self.size);
        self.parts.iter().for_each(|part| body.extend_from_slice(part));
        self.clear();
        Ok(Some(Message { request, body: body.freeze() }))
    }

    fn clear(&mut self) {
        self.budget.give(self.size);
        self.parts.clear();
        self.size = 0;
    }
}

impl Drop for Assembler {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: MessageLimits = MessageLimits { size: 100, chunks: 3 };

    fn chunk(kind: ChunkKind, request: u32, size: usize) -> Chunk {
        Chunk { kind, request, body: vec![1; size].into() }
    }

    #[test]
    fn chunks_of_one_request_make_a_message_and_aborted_ones_are_dropped() {
        use ChunkKind::{Abort, Final, Intermediate};
        let budget = Budget::new(1000);
        let mut assembler = Assembler::new(budget.clone());
        assert!(assembler.add(chunk(Intermediate, 1, 40), LIMITS).unwrap().is_none());
        assert!(assembler.add(chunk(Abort, 1, 10), LIMITS).unwrap().is_none());
        assert!(assembler.add(chunk(Intermediate, 2, 40), LIMITS).unwrap().is_none());
        let message = assembler.add(chunk(Final, 2, 50), LIMITS).unwrap().unwrap();
        assert_eq!((message.request, message.body.len()), (2, 90));
        assert_eq!(budget.left(), 1000);
    }

    #[test]
    fn a_message_that_never_ends_is_refused_and_costs_a_bounded_amount() {
        use ChunkKind::{Final, Intermediate};
        let budget = Budget::new(60);
        let mut large = Assembler::new(Budget::new(1000));
        large.add(chunk(Intermediate, 1, 60), LIMITS).unwrap();
        let refused = large.add(chunk(Final, 1, 41), LIMITS).err();
        assert_eq!(refused, Some(StatusCode::BadTcpMessageTooLarge));
        let mut many = Assembler::new(Budget::new(1000));
        for _ in 0..3 {
            many.add(chunk(Intermediate, 1, 1), LIMITS).unwrap();
        }
        let refused = many.add(chunk(Intermediate, 1, 1), LIMITS).err();
        assert_eq!(refused, Some(StatusCode::BadTcpMessageTooLarge));
        let mut mixed = Assembler::new(budget.clone());
        mixed.add(chunk(Intermediate, 1, 50), LIMITS).unwrap();
        let refused = mixed.add(chunk(Final, 2, 1), LIMITS).err();
        assert_eq!(refused, Some(StatusCode::BadSequenceNumberInvalid));
        let refused = mixed.add(chunk(Intermediate, 1, 20), LIMITS).err();
        assert_eq!(refused, Some(StatusCode::BadTcpNotEnoughResources));
        drop(mixed);
        assert_eq!(budget.left(), 60);
    }
}
