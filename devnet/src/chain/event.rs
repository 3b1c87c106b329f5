//! Events: what a transaction or the start of a block tells the world.

use chain_client::proto::tendermint::abci;

/// One event with its attributes in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `new_sign_request`, …
    pub name: String,
    /// Attribute names and values.
    pub attributes: Vec<(String, String)>,
}

impl Event {
    pub(crate) fn new(name: &str, attributes: &[(&str, &str)]) -> Self {
        let attributes = attributes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Self { name: name.to_owned(), attributes }
    }

    pub(crate) fn request(name: &str, id: u64) -> Self {
        Self::new(name, &[("request_id", &id.to_string())])
    }

    pub(crate) fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.attributes.push((key.to_owned(), value.into()));
        self
    }

    /// Names the message that raised it.
    pub(crate) fn of_message(self, place: usize) -> Self {
        self.with("msg_index", place.to_string())
    }

    pub(crate) fn to_proto(&self) -> abci::Event {
        let attributes = self.attributes.iter();
        let attributes =
            attributes.map(|(key, value)| abci::EventAttribute { key: key.clone(), value: value.clone(), index: true });
        abci::Event { r#type: self.name.clone(), attributes: attributes.collect() }
    }
}
