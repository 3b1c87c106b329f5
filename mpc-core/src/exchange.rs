//! The smallest protocol: everybody tells everybody one thing, then each computes its result.
//!
//! FROST's commitment round has this form, and so have the toys of feature `testing`.

use std::collections::BTreeMap;

use crate::{
    abort::Abort,
    party::PartyIndex,
    session::{Recipient, Session, Step},
    wire::{Mail, Run},
};

type Read<P> = Box<dyn Fn(&[u8]) -> Option<P>>;
type Finish<P, T> = Box<dyn FnOnce(BTreeMap<PartyIndex, P>) -> Result<T, Abort>>;

/// One round of equal messages; `P` is what a peer says, read and checked.
pub(crate) struct Exchange<P, T> {
    mail: Mail,
    own: Option<Vec<u8>>,
    heard: BTreeMap<PartyIndex, P>,
    read: Read<P>,
    finish: Option<Finish<P, T>>,
    entered: bool,
    over: Option<Abort>,
}

impl<P: 'static, T: 'static> Exchange<P, T> {
    /// Says `own` to all, reads each answer with `read` (`None` blames the sender), and finishes with the answers of all others.
    pub(crate) fn boxed(
        run: Run,
        own: Vec<u8>,
        read: impl Fn(&[u8]) -> Option<P> + 'static,
        finish: impl FnOnce(BTreeMap<PartyIndex, P>) -> Result<T, Abort> + 'static,
    ) -> Box<dyn Session<Output = T>> {
        Box::new(Self {
            mail: Mail::new(run),
            own: Some(own),
            heard: BTreeMap::new(),
            read: Box::new(read),
            finish: Some(Box::new(finish)),
            entered: false,
            over: None,
        })
    }

    fn read(&mut self, from: PartyIndex, message: &[u8]) -> Result<(), Abort> {
        let Some(letter) = self.mail.open(from, message)? else { return Ok(()) };
        let said = (self.read)(letter.body).ok_or_else(|| Abort::proven(from, "unreadable message"))?;
        self.heard.insert(from, said);
        Ok(())
    }

    fn advance(&mut self) -> Result<Step<T>, Abort> {
        if let Some(own) = self.own.take() {
            self.entered = true;
            return Ok(Step::Send { to: Recipient::All, body: self.mail.run.seal(0, &own) });
        }
        if self.heard.len() < self.mail.run.others().count() {
            return Ok(Step::Wait);
        }
        let over = Abort::local("the run is over: its result was handed out");
        let finish = self.finish.take().ok_or_else(|| over.clone())?;
        self.over = Some(over);
        finish(std::mem::take(&mut self.heard)).map(Step::Done)
    }
}

impl<P: 'static, T: 'static> Session for Exchange<P, T> {
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
        u16::from(self.entered)
    }
}
