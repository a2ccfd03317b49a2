//! Answers: headers, faults, and the diagnostics that a client has asked for (Part 4 §7.12).

use opcua::types::{
    DateTime, DiagnosticBits, DiagnosticInfo, RequestHeader, ResponseHeader, ServiceFault,
    StatusCode, UAString,
};

use super::Services;
use super::dispatch::Asked;
use crate::server::wire::Reply;

/// The header of an answer.
pub fn header(request: &RequestHeader, at: DateTime, status: StatusCode) -> ResponseHeader {
    let mut header =
        ResponseHeader::new_timestamped_service_result(at, request.request_handle, status);
    let wanted = request.return_diagnostics;
    if status.is_bad() {
        let mut told = Told::new(
            wanted.contains(DiagnosticBits::SERVICE_LEVEL_SYMBOLIC_ID),
            wanted.contains(DiagnosticBits::SERVICE_LEVEL_LOCALIZED_TEXT),
        );
        header.service_diagnostics = told.of(status);
        header.string_table = told.table();
    }
    header
}

/// A fault in place of an answer.
pub fn fault(request: &RequestHeader, at: DateTime, status: StatusCode) -> Reply {
    ServiceFault { response_header: header(request, at, status) }.into()
}

impl Services {
    /// The header of an answer with the results of operations, and what is to be said of each of
    /// them where the client wants it.
    pub(super) fn operations_header(
        &self,
        asked: &Asked,
        statuses: impl Iterator<Item = StatusCode> + Clone,
    ) -> (ResponseHeader, Option<Vec<DiagnosticInfo>>) {
        let mut operations = Operations::new(&asked.header);
        let diagnostic_infos = operations.of(statuses);
        let mut response_header = header(&asked.header, self.now(), StatusCode::Good);
        operations.finish(&mut response_header);
        (response_header, diagnostic_infos)
    }
}

/// Diagnostics of operations, with the texts that they share.
struct Operations {
    told: Option<Told>,
}

/// Operations of a request after which others get their turn.
const TURN: usize = 1000;

/// Lets others have their turn after some operations: a large request must not let small ones wait.
pub async fn take_turns(done: usize) {
    if done > 0 && done.is_multiple_of(TURN) {
        tokio::task::yield_now().await;
    }
}

/// Does work to its end, even if its client has gone or waits no longer meanwhile: what has an
/// effect is not left half done, and is audited.
pub async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, StatusCode> {
    match tokio::spawn(work).await {
        Ok(done) => Ok(done),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // Only the end of the process ends it early.
        Err(_) => Err(StatusCode::BadShutdown),
    }
}

impl Operations {
    /// Diagnostics as the request wants them.
    pub fn new(request: &RequestHeader) -> Operations {
        let wanted = request.return_diagnostics;
        let symbols = wanted.contains(DiagnosticBits::OPERATIONAL_LEVEL_SYMBOLIC_ID);
        let texts = wanted.contains(DiagnosticBits::OPERATIONAL_LEVEL_LOCALIZED_TEXT);
        Operations { told: (symbols || texts).then(|| Told::new(symbols, texts)) }
    }

    /// What is to be said of each operation; `None` when nothing was asked for or all went well.
    pub fn of(
        &mut self,
        statuses: impl Iterator<Item = StatusCode> + Clone,
    ) -> Option<Vec<DiagnosticInfo>> {
        let told = self.told.as_mut()?;
        if !statuses.clone().any(|status| status.is_bad()) {
            return None;
        }
        let one = |status: StatusCode| match status.is_bad() {
            true => told.of(status),
            false => DiagnosticInfo::null(),
        };
        Some(statuses.map(one).collect())
    }

    /// Puts the texts into the header of the answer.
    pub fn finish(self, header: &mut ResponseHeader) {
        if let Some(told) = self.told {
            header.string_table = told.table();
        }
    }
}

/// Texts that diagnostics refer to by their place.
struct Told {
    symbols: bool,
    texts: bool,
    table: Vec<String>,
}

impl Told {
    fn new(symbols: bool, texts: bool) -> Told {
        Told { symbols, texts, table: Vec::new() }
    }

    fn place(&mut self, text: &str) -> i32 {
        let known = self.table.iter().position(|one| one == text);
        let at = known.unwrap_or_else(|| {
            self.table.push(text.to_owned());
            self.table.len() - 1
        });
        i32::try_from(at).unwrap_or(i32::MAX)
    }

    fn of(&mut self, status: StatusCode) -> DiagnosticInfo {
        let code = status.sub_code();
        let mut info = DiagnosticInfo::null();
        if self.symbols {
            info.symbolic_id = Some(self.place(code.name()));
        }
        if self.texts {
            info.localized_text = Some(self.place(code.description()));
        }
        info
    }

    fn table(self) -> Option<Vec<UAString>> {
        let texts = self.table.into_iter().map(UAString::from);
        (self.symbols || self.texts).then(|| texts.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(bits: DiagnosticBits) -> RequestHeader {
        RequestHeader { return_diagnostics: bits, ..RequestHeader::dummy() }
    }

    #[test]
    fn diagnostics_are_given_to_who_asks_for_them_and_share_their_texts() {
        let statuses =
            [StatusCode::Good, StatusCode::BadNodeIdUnknown, StatusCode::BadNodeIdUnknown];
        let mut none = Operations::new(&request(DiagnosticBits::empty()));
        assert_eq!(none.of(statuses.into_iter()), None);
        let asked = request(DiagnosticBits::OPERATIONAL_LEVEL_SYMBOLIC_ID);
        let mut some = Operations::new(&asked);
        let infos = some.of(statuses.into_iter()).unwrap();
        assert_eq!(infos[0].symbolic_id, None);
        assert_eq!((infos[1].symbolic_id, infos[2].symbolic_id), (Some(0), Some(0)));
        let mut header = header(&asked, DateTime::null(), StatusCode::Good);
        some.finish(&mut header);
        assert_eq!(header.string_table, Some(vec![UAString::from("BadNodeIdUnknown")]));
    }

    #[test]
    fn a_fault_says_what_it_is_to_who_asks() {
        let asked = request(
            DiagnosticBits::SERVICE_LEVEL_SYMBOLIC_ID
                | DiagnosticBits::SERVICE_LEVEL_LOCALIZED_TEXT,
        );
        let header = header(&asked, DateTime::null(), StatusCode::BadTooManyOperations);
        assert_eq!(header.service_diagnostics.symbolic_id, Some(0));
        assert_eq!(header.string_table.unwrap()[0].as_ref(), "BadTooManyOperations");
    }
    #[tokio::test]
    async fn work_goes_on_when_nobody_waits_for_it_any_more() {
        let (begin, begun) = tokio::sync::oneshot::channel();
        let (end, ended) = tokio::sync::oneshot::channel();
        let work = async move {
            begun.await.unwrap();
            end.send(()).unwrap();
        };
        let mut waiting = Box::pin(to_the_end(work));
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(waiting);
        begin.send(()).unwrap();
        ended.await.unwrap();
    }
}
