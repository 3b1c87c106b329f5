//! Drives a protocol of the round-based library as a [`Session`].
//!
//! The library writes a protocol as an async function over a party's mailbox and polls it without a runtime. The function's inputs are
//! moved into an async block that owns them, so nothing borrows from anything outside. The library's machine shares an `Rc` with the
//! function, which is why sessions are not `Send`.

use std::{
    collections::VecDeque,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
};

use round_based::{
    Incoming, MessageDestination, MessageType, ProtocolMessage,
    state_machine::{MpcParty, ProceedResult, StateMachine, wrap_protocol},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    abort::Abort,
    party::PartyIndex,
    session::{Recipient, Session, Step},
    wire::{Mail, Run},
};

/// A library's message type, with what its protocol says about each message.
pub(crate) trait Dialect: ProtocolMessage + Serialize + DeserializeOwned + 'static {
    /// Whether this message goes to all alike or to one party; `None` if no honest party sends it in the runs we begin: a foreign round,
    /// or numbers so large that computing with them would take hours.
    fn kind(&self) -> Option<MessageType>;
}

/// A library protocol under way.
pub(crate) struct Machine<M, T> {
    mail: Mail,
    library: Box<dyn StateMachine<Output = Result<T, Abort>, Msg = M>>,
    /// Decoded messages that the library has not asked for yet; one per party and round at most, as [`Mail`] lets no second one in.
    inbox: VecDeque<Incoming<M>>,
    wants_message: bool,
    round: u16,
    last_round_sent: Option<u8>,
    over: Option<Abort>,
}

impl<M: Dialect, T: 'static> Machine<M, T> {
    /// Begins `protocol` in `run`.
    pub(crate) fn boxed<F>(run: Run, protocol: impl FnOnce(MpcParty<M>) -> F) -> Box<dyn Session<Output = T>>
    where
        F: Future<Output = Result<T, Abort>> + 'static,
    {
        Box::new(Self {
            mail: Mail::new(run),
            library: Box::new(wrap_protocol(protocol)),
            inbox: VecDeque::new(),
            wants_message: false,
            round: 0,
            last_round_sent: None,
            over: None,
        })
    }

    fn read(&mut self, from: PartyIndex, message: &[u8]) -> Result<(), Abort> {
        let Some(letter) = self.mail.open(from, message)? else { return Ok(()) };
        let Some(sender) = self.mail.run.position(from) else { return Ok(()) };
        let malformed = |what: &str| Abort::proven(from, format!("{what} in round {}", letter.round));
        // The libraries' big integers panic on a number base that they do not know, and the base comes with the message.
        let (msg, rest) = catch_unwind(|| postcard::take_from_bytes::<M>(letter.body))
            .map_err(|_| malformed("message that makes the library panic"))?
            .map_err(|_| malformed("unreadable message"))?;
        if !rest.is_empty() {
            return Err(malformed("bytes behind the message"));
        }
        if msg.round() != u16::from(letter.round) {
            return Err(malformed("message of another round"));
        }
        let msg_type = msg.kind().ok_or_else(|| malformed("message that this run lacks"))?;
        // The library uses the id to tell messages apart in its errors only.
        let id = u64::from(sender) << 8 | u64::from(letter.round);
        self.inbox.push_back(Incoming { id, sender, msg_type, msg });
        Ok(())
    }

    fn send(&mut self, recipient: MessageDestination, msg: &M) -> Result<Step<T>, Abort> {
        let round = u8::try_from(msg.round()).map_err(|_| Abort::local("the library numbers a round beyond 255"))?;
        let to = match recipient {
            MessageDestination::AllParties => Recipient::All,
            MessageDestination::OneParty(position) => {
                let party = self.mail.run.parties().get(usize::from(position));
                Recipient::One(*party.ok_or_else(|| Abort::local("the library writes to a party outside the run"))?)
            }
        };
        if self.last_round_sent != Some(round) {
            self.last_round_sent = Some(round);
            self.round = self.round.saturating_add(1);
        }
        let body = postcard::to_stdvec(msg)
            .map_err(|error| Abort::local(format!("own message cannot be written: {error}")))?;
        Ok(Step::Send { to, body: self.mail.run.seal(round, &body) })
    }

    fn advance(&mut self) -> Result<Step<T>, Abort> {
        loop {
            if self.wants_message {
                let Some(message) = self.inbox.pop_front() else { return Ok(Step::Wait) };
                self.wants_message = false;
                self.library
                    .received_msg(message)
                    .map_err(|_| Abort::local("the library refuses a message that it asked for"))?;
            }
            // The arithmetic below was written by others and is fed by peers: should it panic, this run ends, not the process.
            let progress = catch_unwind(AssertUnwindSafe(|| self.library.proceed()))
                .map_err(|_| Abort::suspect([], "the protocol library panicked on a peer's message"))?;
            match progress {
                ProceedResult::SendMsg(outgoing) => return self.send(outgoing.recipient, &outgoing.msg),
                ProceedResult::NeedsOneMoreMessage => self.wants_message = true,
                ProceedResult::Yielded => return Ok(Step::Yield),
                ProceedResult::Output(result) => {
                    self.over = Some(Abort::local("the run is over: its result was handed out"));
                    return result.map(Step::Done);
                }
                ProceedResult::Error(error) => {
                    return Err(Abort::local(format!("the protocol library stopped: {error}")));
                }
            }
        }
    }
}

impl<M: Dialect, T: 'static> Session for Machine<M, T> {
    type Output = T;

    fn receive(&mut self, from: PartyIndex, body: &[u8]) -> Result<(), Abort> {
        if let Some(abort) = &self.over {
            return Err(abort.clone());
        }
        self.read(from, body).inspect_err(|abort| self.over = Some(abort.clone()))
    }

    fn step(&mut self) -> Step<T> {
        if let Some(abort) = &self.over {
            return Step::Stop(abort.clone());
        }
        self.advance().unwrap_or_else(|abort| {
            self.over = Some(abort.clone());
            Step::Stop(abort)
        })
    }

    fn round(&self) -> u16 {
        self.round
    }
}
