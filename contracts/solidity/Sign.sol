// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {AccessControlUpgradeable} from
    "@openzeppelin/contracts-upgradeable/access/AccessControlUpgradeable.sol";
import {PausableUpgradeable} from "@openzeppelin/contracts-upgradeable/utils/PausableUpgradeable.sol";
import {ReentrancyGuardUpgradeable} from
    "@openzeppelin/contracts-upgradeable/utils/ReentrancyGuardUpgradeable.sol";
import {IZrSign} from "./IZrSign.sol";
import {SignStorage} from "./SignStorage.sol";

/// Requests and answers. What differs between the contract versions is left to them: the digest that an answer is
/// authorised by, what of an answer is compared with its request, and how the answer's gas is paid.
///
/// The order of the checks decides which error a client sees and is part of the interface.
abstract contract Sign is IZrSign, AccessControlUpgradeable, PausableUpgradeable, ReentrancyGuardUpgradeable {
    /// keccak256("zenrock.role.mpc"): whose signature authorises answers. It gives no right to call anything.
    bytes32 public constant MPC_ROLE = 0x1788cbbd6512d9aa8da743e475ce7cbbc6aea08b483d7cd0c00586734a4f6f14;
    /// keccak256("zenrock.role.fee"): sets the three fee parameters and withdraws what was collected.
    bytes32 public constant FEE_ROLE = 0x13b7ad447453d194d272cdda9bb09d7d357cda1ab7de80d865b4c1cbefc3cf28;
    /// keccak256("zenrock.role.pauser")
    bytes32 public constant PAUSER_ROLE = 0x8ab6d0465f335f1458251c44a70aa92d9297798531f73d2c8a32b5bd379821b8;

    /// keccak256("eip155:11155111"), on every chain: a tag, not a statement about where this runs.
    bytes32 public constant SRC_CHAIN_ID = 0xafa90c317deacd3d68f330a30f96e4fa7736e35e8d1426b2e1b2c04bce1c2fb7;
    /// keccak256(abi.encode(44, 60))
    bytes32 public constant SRC_WALLET_TYPE_ID = 0xe146c2986893c43af5ff396310220be92058fb9f4ce76b929b80ef0d5307100a;

    uint8 public constant IS_HASH_MASK = 0;
    uint8 public constant IS_TX_MASK = 1;
    uint8 public constant IS_SIMPLE_TX_MASK = 2;
    uint8 public constant IS_DATA_MASK = 3;
    uint8 public constant WALLET_REQUESTED = 1;
    uint8 public constant WALLET_REGISTERED = 2;
    uint8 public constant OPTIONS_MONITORING = 2;
    uint8 public constant SIG_REQ_IN_PROGRESS = 1;
    uint8 public constant SIG_REQ_ALREADY_PROCESSED = 2;

    uint256 private constant MIN_ADDRESS_LENGTH = 5;

    // --- requests ---------------------------------------------------------------------------------------------------

    /// Anybody may ask, for any owner. Until the answer there is one open index per (type, owner): a further request
    /// pays into it and is announced with the same index, and options and collected fees stay those of the first.
    function zrKeyReq(ZrKeyReqParams calldata params) external payable {
        _requireWalletType(params.walletTypeId);
        _requireNotPaused();
        _requireOptions(params.options);
        (uint256 mpc, uint256 netResp) = _takeFee(params.options);

        SignStorage.Layout storage s = SignStorage.state();
        uint256 index = s.addresses[_workspaceId(params.walletTypeId, params.owner)].length;
        WalletRegistry storage wallet = s.wallets[_walletId(params.walletTypeId, params.owner, index)];
        if (wallet.status == 0) {
            wallet.status = WALLET_REQUESTED;
            wallet.options = params.options;
            wallet.value = netResp;
            s.collectedFees += mpc;
        } else {
            wallet.value += msg.value;
        }
        emit ZrKeyRequest(params.walletTypeId, params.owner, index, params.options, msg.value, mpc);
    }

    function zrSignHash(ZrSignParams calldata params) external payable {
        _requireDestination(params);
        _refuseBroadcast(params);
        _request(params, IS_HASH_MASK);
    }

    function zrSignTx(ZrSignParams calldata params) external payable {
        _requireDestination(params);
        _request(params, IS_TX_MASK);
    }

    function zrSignSimpleTx(ZrSignParams calldata params) external payable {
        _requireDestination(params);
        bytes32 walletId = _walletId(params.walletTypeId, msg.sender, params.walletIndex);
        if (SignStorage.state().wallets[walletId].options < OPTIONS_MONITORING) {
            revert WalletNotRegisteredForMonitoring(params.walletIndex);
        }
        _request(params, IS_SIMPLE_TX_MASK);
    }

    function zrSignData(ZrSignParams calldata params) external payable {
        _requireDestination(params);
        _refuseBroadcast(params);
        _request(params, IS_DATA_MASK);
    }

    function _request(ZrSignParams calldata params, uint8 kind) private {
        _requireNotPaused();
        SignStorage.Layout storage s = SignStorage.state();
        bytes32 walletId = _walletId(params.walletTypeId, msg.sender, params.walletIndex);
        uint8 options = s.wallets[walletId].options;
        _requireOptions(options);
        (uint256 mpc, uint256 netResp) = _takeFee(options);
        if (s.wallets[walletId].status != WALLET_REGISTERED) {
            revert InvalidWalletIndex(params.walletIndex);
        }

        uint256 traceId = s.nextTraceId;
        _open(s.requests[traceId], netResp, params.broadcast);
        s.collectedFees += mpc;
        emit ZrSigRequest(
            traceId,
            walletId,
            msg.value,
            mpc,
            SigReqParams({
                walletTypeId: params.walletTypeId,
                walletIndex: params.walletIndex,
                dstChainId: params.dstChainId,
                payload: params.payload,
                owner: msg.sender,
                zrSignReqType: kind,
                broadcast: params.broadcast
            })
        );
        s.nextTraceId = traceId + 1;
    }

    // --- answers ----------------------------------------------------------------------------------------------------

    /// Anybody may bring an answer; what counts is who authorised it.
    function zrKeyRes(ZrKeyResParams calldata params) external nonReentrant {
        uint256 begun = gasleft();
        _requireWalletType(params.walletTypeId);
        if (params.owner == address(0)) revert OwnableInvalidOwner(address(0));
        _requireNotPaused();
        _requireAuthorised(_keyDigest(params), params.authSignature);
        if (bytes(params.wallet).length < MIN_ADDRESS_LENGTH) {
            revert InvalidAddressLength(MIN_ADDRESS_LENGTH, bytes(params.wallet).length);
        }

        SignStorage.Layout storage s = SignStorage.state();
        string[] storage addresses = s.addresses[_workspaceId(params.walletTypeId, params.owner)];
        uint256 index = addresses.length;
        if (params.walletIndex != index) revert IncorrectWalletIndex(index, params.walletIndex);
        WalletRegistry storage wallet = s.wallets[_walletId(params.walletTypeId, params.owner, index)];
        if (wallet.status != WALLET_REQUESTED) revert WalletNotRequested(params.wallet);
        _compare(params, wallet);

        addresses.push(params.wallet);
        wallet.status = WALLET_REGISTERED;
        emit ZrKeyResolve(params.walletTypeId, params.owner, index, params.wallet);
        _refund(params.owner, wallet.value, begun, bytes(params.wallet).length);
    }

    /// Wallet type and chain are not looked at again: what was asked may be answered.
    function zrSignRes(SignResParams calldata params) external nonReentrant {
        uint256 begun = gasleft();
        _requireNotPaused();
        SignStorage.Request storage request = SignStorage.state().requests[params.traceId];
        if (request.status != SIG_REQ_IN_PROGRESS) revert RequestNotFoundOrAlreadyProcessed(params.traceId);
        _requireAuthorised(_signatureDigest(params), params.authSignature);
        _compare(params, request);

        request.status = SIG_REQ_ALREADY_PROCESSED;
        emit ZrSigResolve(params.traceId, params.metaData, params.signature, params.broadcast);
        _refund(params.owner, request.value, begun, params.metaData.length + params.signature.length);
    }

    // --- what the versions decide -----------------------------------------------------------------------------------

    /// Remembers a request; what else than status and value is kept is the version's choice.
    function _open(SignStorage.Request storage request, uint256 value, bool broadcast) internal virtual;

    function _keyDigest(ZrKeyResParams calldata params) internal view virtual returns (bytes32);

    function _signatureDigest(SignResParams calldata params) internal view virtual returns (bytes32);

    function _compare(ZrKeyResParams calldata params, WalletRegistry storage wallet) internal view virtual;

    function _compare(SignResParams calldata params, SignStorage.Request storage request) internal view virtual;

    /// Pays the caller for the answer's gas out of `value`, and the rest to `owner`. `begun` is the gas that was left
    /// when the answer's function began, `length` how many bytes of free length were authorised with it.
    function _refund(address owner, uint256 value, uint256 begun, uint256 length) internal virtual;

    // --- checks -----------------------------------------------------------------------------------------------------

    function _requireWalletType(bytes32 walletTypeId) internal view {
        if (!isWalletTypeSupported(walletTypeId)) revert WalletTypeNotSupported(walletTypeId);
    }

    function _requireDestination(ZrSignParams calldata params) private view {
        _requireWalletType(params.walletTypeId);
        if (!isChainIdSupported(params.walletTypeId, params.dstChainId)) {
            revert ChainIdNotSupported(params.walletTypeId, params.dstChainId);
        }
    }

    function _refuseBroadcast(ZrSignParams calldata params) private pure {
        if (params.broadcast) revert BroadcastNotAllowed();
    }

    function _requireOptions(uint8 options) private pure {
        if (options == 0) revert InvalidOptions(0);
    }

    function _requireAuthorised(bytes32 digest, bytes calldata authorisation) private view {
        (address signer, ECDSA.RecoverError failure,) = ECDSA.tryRecover(digest, authorisation);
        if (failure != ECDSA.RecoverError.NoError) revert InvalidSignature(uint8(failure));
        _checkRole(MPC_ROLE, signer);
    }

    // --- fees -------------------------------------------------------------------------------------------------------

    function _takeFee(uint8 options) private view returns (uint256 mpc, uint256 netResp) {
        uint256 total;
        (mpc, netResp) = _fee(options);
        total = mpc + netResp;
        if (msg.value < total) revert InsufficientFee(total, msg.value);
        netResp += msg.value - total;
    }

    function _fee(uint8 options) private view returns (uint256 mpc, uint256 netResp) {
        SignStorage.Layout storage s = SignStorage.state();
        mpc = s.mpcFee * options;
        netResp = s.respGas * (block.basefee * s.respGasPriceBuffer / 100);
    }

    function estimateFee(uint8 options, uint256 value)
        public
        view
        returns (uint256 mpc, uint256 netResp, uint256 total)
    {
        _requireOptions(options);
        (mpc, netResp) = _fee(options);
        total = mpc + netResp;
        if (value > total) {
            netResp += value - total;
            total = value;
        }
    }

    function estimateFee(bytes32 walletTypeId, address owner, uint256 walletIndex, uint256 value)
        external
        view
        returns (uint256 mpc, uint256 netResp, uint256 total)
    {
        return estimateFee(SignStorage.state().wallets[_walletId(walletTypeId, owner, walletIndex)].options, value);
    }

    // --- names ------------------------------------------------------------------------------------------------------

    function _workspaceId(bytes32 walletTypeId, address owner) internal view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), walletTypeId, owner));
    }

    function _walletId(bytes32 walletTypeId, address owner, uint256 index) internal view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), walletTypeId, owner, index));
    }

    // --- views ------------------------------------------------------------------------------------------------------

    function getMPCFee() external view returns (uint256) {
        return SignStorage.state().mpcFee;
    }

    function getRespGas() external view returns (uint256) {
        return SignStorage.state().respGas;
    }

    function getRespGasPriceBuffer() external view returns (uint256) {
        return SignStorage.state().respGasPriceBuffer;
    }

    function getColletedFees() external view returns (uint256) {
        return SignStorage.state().collectedFees;
    }

    function getTraceId() external view returns (uint256) {
        return SignStorage.state().nextTraceId;
    }

    function getRequestState(uint256 traceId) external view returns (ReqRegistry memory) {
        SignStorage.Request storage request = SignStorage.state().requests[traceId];
        return ReqRegistry({status: request.status, value: request.value});
    }

    function getWalletRegistry(bytes32 walletTypeId, uint256 walletIndex, address owner)
        external
        view
        returns (WalletRegistry memory)
    {
        return SignStorage.state().wallets[_walletId(walletTypeId, owner, walletIndex)];
    }

    function getZrKey(bytes32 walletTypeId, address owner, uint256 index) external view returns (string memory) {
        return SignStorage.state().addresses[_workspaceId(walletTypeId, owner)][index];
    }

    function getZrKeys(bytes32 walletTypeId, address owner) external view returns (string[] memory) {
        return SignStorage.state().addresses[_workspaceId(walletTypeId, owner)];
    }

    function getWalletTypeInfo(bytes32 walletTypeId) external view returns (ChainInfo memory) {
        return SignStorage.state().walletTypes[walletTypeId];
    }

    function isWalletTypeSupported(bytes32 walletTypeId) public view returns (bool) {
        return SignStorage.state().walletTypes[walletTypeId].purpose != 0;
    }

    function isChainIdSupported(bytes32 walletTypeId, bytes32 chainId) public view returns (bool) {
        return SignStorage.state().chainIds[walletTypeId][chainId];
    }
}
