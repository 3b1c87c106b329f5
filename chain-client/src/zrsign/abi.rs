//! The surface of zrSign v1 that a keyring and an asker meet: the calls that ask, two requests, their resolutions, the
//! views that are read, the two responses, and the errors that all of these can end with. `docs/zrsign.md` has it whole.

#![allow(missing_docs, reason = "the macro's output; what each item means stands in docs/zrsign.md")]

use alloy_sol_types::sol;

sol! {
    struct ZrKeyReqParams {
        address owner;
        bytes32 walletTypeId;
        uint8 options;
    }

    struct ZrSignParams {
        bytes32 walletTypeId;
        uint256 walletIndex;
        bytes32 dstChainId;
        bytes payload;
        bool broadcast;
    }

    struct SigReqParams {
        bytes32 walletTypeId;
        uint256 walletIndex;
        bytes32 dstChainId;
        bytes payload;
        address owner;
        uint8 zrSignReqType;
        bool broadcast;
    }

    struct ZrKeyResParams {
        bytes32 walletTypeId;
        address owner;
        uint256 walletIndex;
        string wallet;
        uint8 options;
        bytes authSignature;
    }

    struct SignResParams {
        uint256 traceId;
        address owner;
        bytes metaData;
        bytes signature;
        bool broadcast;
        bytes authSignature;
    }

    event ZrKeyRequest(
        bytes32 indexed walletTypeId,
        address indexed owner,
        uint256 indexed walletIndex,
        uint8 options,
        uint256 value,
        uint256 mpcFee
    );
    event ZrKeyResolve(
        bytes32 indexed walletTypeId,
        address indexed owner,
        uint256 indexed walletIndex,
        string addr
    );
    event ZrSigRequest(
        uint256 indexed traceId,
        bytes32 indexed walletId,
        uint256 value,
        uint256 mpcFee,
        SigReqParams params
    );
    event ZrSigResolve(uint256 indexed traceId, bytes metaData, bytes signature, bool broadcast);
    event ChainIdSupport(bytes32 indexed walletTypeId, bytes32 indexed chainId, string caip, bool support);
    event Upgraded(address indexed implementation);

    function zrKeyReq(ZrKeyReqParams params) external payable;
    function zrSignHash(ZrSignParams params) external payable;
    function zrSignTx(ZrSignParams params) external payable;
    function zrSignSimpleTx(ZrSignParams params) external payable;
    function zrKeyRes(ZrKeyResParams params) external;
    function zrSignRes(SignResParams params) external;

    function SRC_CHAIN_ID() external view returns (bytes32);
    function MPC_ROLE() external view returns (bytes32);
    function IS_HASH_MASK() external view returns (uint8);
    function IS_DATA_MASK() external view returns (uint8);
    function IS_TX_MASK() external view returns (uint8);
    function IS_SIMPLE_TX_MASK() external view returns (uint8);
    function hasRole(bytes32 role, address account) external view returns (bool);
    function paused() external view returns (bool);
    function version() external view returns (uint256);
    /// By options (`_0`), for a key; by a wallet (`_1`), for a signature.
    function estimateFee(uint8 options, uint256 value)
        external
        view
        returns (uint256 mpc, uint256 netResp, uint256 total);
    function estimateFee(bytes32 walletTypeId, address owner, uint256 walletIndex, uint256 value)
        external
        view
        returns (uint256 mpc, uint256 netResp, uint256 total);
    function getRespGas() external view returns (uint256);
    function getTraceId() external view returns (uint256);
    function getRequestState(uint256 traceId) external view returns (uint8 status, uint256 value);
    function getWalletRegistry(bytes32 walletTypeId, uint256 walletIndex, address owner)
        external
        view
        returns (uint8 status, uint8 options, uint256 value);
    function getZrKey(bytes32 walletTypeId, address owner, uint256 index) external view returns (string);
    function getZrKeys(bytes32 walletTypeId, address owner) external view returns (string[]);

    error InsufficientFee(uint256 requiredFee, uint256 providedFee);
    error ChainIdNotSupported(bytes32 walletTypeId, bytes32 chainId);
    error InvalidOptions(uint8 options);
    error InvalidWalletIndex(uint256 walletIndex);
    error WalletNotRegisteredForMonitoring(uint256 walletIndex);
    error BroadcastNotAllowed();

    error EnforcedPause();
    error WalletTypeNotSupported(bytes32 walletTypeId);
    error IncorrectWalletIndex(uint256 expected, uint256 provided);
    error WalletNotRequested(string wallet);
    error RequestNotFoundOrAlreadyProcessed(uint256 traceId);
    error InvalidSignature(uint8 code);
    error AccessControlUnauthorizedAccount(address account, bytes32 role);
    error InvalidAddressLength(uint256 minLength, uint256 actualLength);

    /// The fictitious function whose call data is a simple transaction.
    function transaction(string to, uint256 value, bytes data) external;
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_sol_types::{SolCall, SolError, SolEvent};

    /// Every selector and topic as the facts give it: a slip in a signature would make us deaf.
    #[test]
    fn topics_and_selectors_are_those_of_the_contract() {
        let topics = [
            (ZrKeyRequest::SIGNATURE_HASH, "4ba02e24ed0a9961951991115a4b7c18421f3001c7783f16fe5cef57dc7abe14"),
            (ZrKeyResolve::SIGNATURE_HASH, "eadd51a96e8aecd8431bb7c40722e4dc8bb75495298c697420220e7cf59802df"),
            (ZrSigRequest::SIGNATURE_HASH, "b30ae366d47b8e1a1d9d8f87bd0582a7257c8ce921d8e4f1974db3d9098e935f"),
            (ZrSigResolve::SIGNATURE_HASH, "f542c279cacc7206bbfc134687aa3b2f9ed7437f7d05fca9f92bb699b7ac6323"),
            (ChainIdSupport::SIGNATURE_HASH, "191185b1dd8bc542e2693a53b68ccb36e5543fdfee81c0acff1f82bfa7311b6d"),
            (Upgraded::SIGNATURE_HASH, "bc7cd75a20ee27fd9adebab32041f755214dbc6bffa90cc0225b39da2e5c2d3b"),
        ];
        for (ours, known) in topics {
            assert_eq!(hex::encode(ours), known);
        }
        let selectors = [
            (zrKeyReqCall::SELECTOR, "60a48995"),
            (zrSignHashCall::SELECTOR, "15c39391"),
            (zrSignTxCall::SELECTOR, "93f874c4"),
            (zrSignSimpleTxCall::SELECTOR, "daefde8e"),
            (estimateFee_0Call::SELECTOR, "a213cbaa"),
            (estimateFee_1Call::SELECTOR, "b933e46f"),
            (InsufficientFee::SELECTOR, "a458261b"),
            (ChainIdNotSupported::SELECTOR, "4e588fd3"),
            (InvalidOptions::SELECTOR, "f8b98c9a"),
            (InvalidWalletIndex::SELECTOR, "6af0e682"),
            (WalletNotRegisteredForMonitoring::SELECTOR, "a80d65f8"),
            (BroadcastNotAllowed::SELECTOR, "7ef2aa56"),
            (zrKeyResCall::SELECTOR, "31852273"),
            (zrSignResCall::SELECTOR, "050a5784"),
            (SRC_CHAIN_IDCall::SELECTOR, "1459dda2"),
            (MPC_ROLECall::SELECTOR, "eee49c71"),
            (IS_HASH_MASKCall::SELECTOR, "47bc77f7"),
            (IS_TX_MASKCall::SELECTOR, "8e916786"),
            (IS_SIMPLE_TX_MASKCall::SELECTOR, "b6e85a75"),
            (hasRoleCall::SELECTOR, "91d14854"),
            (pausedCall::SELECTOR, "5c975abb"),
            (versionCall::SELECTOR, "54fd4d50"),
            (getRespGasCall::SELECTOR, "4dd4c753"),
            (getTraceIdCall::SELECTOR, "379e3349"),
            (getRequestStateCall::SELECTOR, "ed979dd6"),
            (getWalletRegistryCall::SELECTOR, "5432f642"),
            (getZrKeyCall::SELECTOR, "187e5818"),
            (getZrKeysCall::SELECTOR, "a11a572d"),
            (transactionCall::SELECTOR, "4dbda8d6"),
            (EnforcedPause::SELECTOR, "d93c0665"),
            (WalletTypeNotSupported::SELECTOR, "887b59d6"),
            (IncorrectWalletIndex::SELECTOR, "712ef889"),
            (WalletNotRequested::SELECTOR, "0659899e"),
            (RequestNotFoundOrAlreadyProcessed::SELECTOR, "83d45247"),
            (InvalidSignature::SELECTOR, "480770df"),
            (AccessControlUnauthorizedAccount::SELECTOR, "e2517d3f"),
            (InvalidAddressLength::SELECTOR, "ffa7e4f7"),
        ];
        for (ours, known) in selectors {
            assert_eq!(hex::encode(ours), known);
        }
    }
}
