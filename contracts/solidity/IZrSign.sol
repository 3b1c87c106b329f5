// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// What zrSign looks like from outside: structs, events, errors, functions. Roles, pause and initialiser come from their
/// libraries. Names, order of fields and indexed flags are those of version 1; docs/contracts.md has the table.
interface IZrSign {
    // --- asked ------------------------------------------------------------------------------------------------------

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

    /// What the request event shows.
    struct SigReqParams {
        bytes32 walletTypeId;
        uint256 walletIndex;
        bytes32 dstChainId;
        bytes payload;
        address owner;
        uint8 zrSignReqType;
        bool broadcast;
    }

    // --- answered ---------------------------------------------------------------------------------------------------

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

    // --- looked up --------------------------------------------------------------------------------------------------

    /// `value` is what may be spent on the answer and is returned otherwise; it stays after the answer.
    struct WalletRegistry {
        uint8 status;
        uint8 options;
        uint256 value;
    }

    struct ReqRegistry {
        uint8 status;
        uint256 value;
    }

    struct ChainInfo {
        uint256 purpose;
        uint256 coinType;
    }

    // --- events -----------------------------------------------------------------------------------------------------

    event ZrKeyRequest(
        bytes32 indexed walletTypeId,
        address indexed owner,
        uint256 indexed walletIndex,
        uint8 options,
        uint256 value,
        uint256 mpcFee
    );
    event ZrKeyResolve(
        bytes32 indexed walletTypeId, address indexed owner, uint256 indexed walletIndex, string addr
    );
    event ZrSigRequest(
        uint256 indexed traceId, bytes32 indexed walletId, uint256 value, uint256 mpcFee, SigReqParams params
    );
    event ZrSigResolve(uint256 indexed traceId, bytes metaData, bytes signature, bool broadcast);
    event ZrSigGasRefund(uint256 engineWalletCost, uint256 userChange);

    event MPCFeeUpdate(uint256 indexed oldFee, uint256 indexed newFee);
    event RespGasUpdate(uint256 indexed oldGas, uint256 indexed newGas);
    event RespGasPriceBufferUpdate(uint256 indexed oldBuffer, uint256 indexed newBuffer);
    event MPCFeeWithdraw(address indexed to, uint256 indexed amount);
    event WalletTypeIdSupport(
        uint256 indexed purpose, uint256 indexed coinType, bytes32 indexed walletTypeId, bool support
    );
    event ChainIdSupport(bytes32 indexed walletTypeId, bytes32 indexed chainId, string caip, bool support);

    // --- errors -----------------------------------------------------------------------------------------------------

    error InsufficientFee(uint256 requiredFee, uint256 providedFee);
    error WalletTypeNotSupported(bytes32 walletTypeId);
    error WalletTypeAlreadySupported(bytes32 walletTypeId);
    error ChainIdNotSupported(bytes32 walletTypeId, bytes32 chainId);
    error ChainIdAlreadySupported(bytes32 walletTypeId, bytes32 chainId);
    error InvalidOptions(uint8 options);
    error InvalidWalletIndex(uint256 walletIndex);
    error WalletNotRegisteredForMonitoring(uint256 walletIndex);
    error BroadcastNotAllowed();
    error IncorrectWalletIndex(uint256 expected, uint256 provided);
    error WalletNotRequested(string wallet);
    /// Part of the interface, thrown by nobody: an index equal to the list's length was never registered.
    error WalletAlreadyRegistered(string wallet);
    error RequestNotFoundOrAlreadyProcessed(uint256 traceId);
    /// 1: not recoverable, 2: not 65 bytes, 3: high s.
    error InvalidSignature(uint8 reason);
    error InvalidAddressLength(uint256 minLength, uint256 actualLength);
    error OwnableInvalidOwner(address owner);

    // --- requests and answers ---------------------------------------------------------------------------------------

    function zrKeyReq(ZrKeyReqParams calldata params) external payable;
    function zrKeyRes(ZrKeyResParams calldata params) external;
    function zrSignHash(ZrSignParams calldata params) external payable;
    function zrSignTx(ZrSignParams calldata params) external payable;
    function zrSignSimpleTx(ZrSignParams calldata params) external payable;
    /// Not in version 1 (docs/adr/0012): the wallet signs keccak256 of the payload.
    function zrSignData(ZrSignParams calldata params) external payable;
    function zrSignRes(SignResParams calldata params) external;

    // --- configuration and money ------------------------------------------------------------------------------------

    function initializeV1() external;
    function walletTypeIdConfig(uint256 purpose, uint256 coinType, bool support) external;
    function chainIdConfig(bytes32 walletTypeId, string calldata caip, bool support) external;
    function updateMPCFee(uint256 newFee) external;
    function updateRespGas(uint256 newGas) external;
    function updateRespGasBuffer(uint256 newBuffer) external;
    function withdrawMPCFees() external;
    function pause() external;
    function unpause() external;

    // --- views ------------------------------------------------------------------------------------------------------

    function estimateFee(uint8 options, uint256 value)
        external
        view
        returns (uint256 mpc, uint256 netResp, uint256 total);
    function estimateFee(bytes32 walletTypeId, address owner, uint256 walletIndex, uint256 value)
        external
        view
        returns (uint256 mpc, uint256 netResp, uint256 total);
    function getMPCFee() external view returns (uint256);
    function getRespGas() external view returns (uint256);
    function getRespGasPriceBuffer() external view returns (uint256);
    /// Spelled as in version 1.
    function getColletedFees() external view returns (uint256);
    function getTraceId() external view returns (uint256);
    function getRequestState(uint256 traceId) external view returns (ReqRegistry memory);
    function getWalletRegistry(bytes32 walletTypeId, uint256 walletIndex, address owner)
        external
        view
        returns (WalletRegistry memory);
    function getZrKey(bytes32 walletTypeId, address owner, uint256 index) external view returns (string memory);
    function getZrKeys(bytes32 walletTypeId, address owner) external view returns (string[] memory);
    function getWalletTypeInfo(bytes32 walletTypeId) external view returns (ChainInfo memory);
    function isWalletTypeSupported(bytes32 walletTypeId) external view returns (bool);
    function isChainIdSupported(bytes32 walletTypeId, bytes32 chainId) external view returns (bool);
    function version() external view returns (uint256);

    // --- constants --------------------------------------------------------------------------------------------------

    function MPC_ROLE() external view returns (bytes32);
    function FEE_ROLE() external view returns (bytes32);
    function PAUSER_ROLE() external view returns (bytes32);
    function SRC_CHAIN_ID() external view returns (bytes32);
    function SRC_WALLET_TYPE_ID() external view returns (bytes32);
    function IS_HASH_MASK() external view returns (uint8);
    function IS_TX_MASK() external view returns (uint8);
    function IS_SIMPLE_TX_MASK() external view returns (uint8);
    /// Not in version 1 (docs/adr/0012).
    function IS_DATA_MASK() external view returns (uint8);
    function WALLET_REQUESTED() external view returns (uint8);
    function WALLET_REGISTERED() external view returns (uint8);
    function OPTIONS_MONITORING() external view returns (uint8);
    function SIG_REQ_IN_PROGRESS() external view returns (uint8);
    function SIG_REQ_ALREADY_PROCESSED() external view returns (uint8);
}
