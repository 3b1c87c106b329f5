//! A legacy Solana message with one system transfer; the whole message is signed, and ed25519-dalek judges.

use chain_client::proto::zrchain::treasury::{MetadataSolana, SolanaNetworkType};
use chain_client::tx::any;
use prost_types::Any;

use crate::demo::proof::{self, Unverified};

const SYSTEM_PROGRAM: [u8; 32] = [0; 32];
/// The system program's instruction *transfer*, and its amount in lamports.
const TRANSFER: u32 = 2;
const LAMPORTS: u64 = 1_500_000;
const RECIPIENT: [u8; 32] = [0x42; 32];
const RECENT_BLOCKHASH: [u8; 32] = [0x24; 32];

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct SolanaTransfer {
    sender: [u8; 32],
}

impl SolanaTransfer {
    /// A transfer from this key's account, which also pays for it.
    ///
    /// # Errors
    /// [`Unverified::Malformed`] when the bytes are no key.
    pub(crate) fn from_key(public_key: &[u8]) -> Result<Self, Unverified> {
        let sender = public_key.try_into().map_err(|_| Unverified::malformed("public key", "not 32 bytes"))?;
        Ok(Self { sender })
    }

    /// The message: header, accounts, block hash, instructions. All counts are below 128, so one byte each.
    pub(crate) fn unsigned(&self) -> Vec<u8> {
        // One signer, who writes; of the others one is only read: the program.
        let mut message = vec![1, 0, 1];
        message.push(3);
        for account in [&self.sender, &RECIPIENT, &SYSTEM_PROGRAM] {
            message.extend(account);
        }
        message.extend(RECENT_BLOCKHASH);
        // One instruction: program 2 with accounts 0 and 1.
        message.extend([1, 2, 2, 0, 1]);
        let data = [TRANSFER.to_le_bytes().as_slice(), &LAMPORTS.to_le_bytes()].concat();
        message.push(12);
        message.extend(data);
        message
    }

    /// The network, without which the chain takes no Solana message.
    pub(crate) fn metadata() -> Any {
        any(&MetadataSolana { network: SolanaNetworkType::Devnet.into(), ..Default::default() })
    }

    /// 64 bytes over the whole message.
    ///
    /// # Errors
    /// [`Unverified`] when it does not verify.
    pub(crate) fn check(&self, signature: &[u8]) -> Result<String, Unverified> {
        proof::ed25519(&self.sender, &self.unsigned(), signature)?;
        // A Solana transaction is named by its first signature.
        Ok(format!("sender {}, tx {}", bs58::encode(self.sender).into_string(), bs58::encode(signature).into_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer as _, SigningKey};

    #[test]
    fn the_senders_signature_verifies_and_no_other() {
        let own = SigningKey::from_bytes(&[1; 32]);
        let transfer = SolanaTransfer::from_key(own.verifying_key().as_bytes()).expect("a transfer");
        assert!(transfer.check(&own.sign(&transfer.unsigned()).to_bytes()).is_ok());
        let other = SigningKey::from_bytes(&[2; 32]);
        assert_eq!(transfer.check(&other.sign(&transfer.unsigned()).to_bytes()), Err(Unverified::Signature));
        assert!(transfer.check(&[0; 63]).is_err());
    }
}
