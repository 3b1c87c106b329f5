// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {EIP712Upgradeable} from "@openzeppelin/contracts-upgradeable/utils/cryptography/EIP712Upgradeable.sol";
import {SignAdmin} from "./SignAdmin.sol";
import {SignStorage} from "./SignStorage.sol";

/// Version 2: requests and events of version 1, and answers without its weaknesses (docs/adr/0013).
///
/// - An answer is authorised as EIP-712 typed data, so chain and contract are in the digest.
/// - Owner and broadcast of a signature, options of a key must be those of the request.
/// - The answer's gas is measured from the start, at any gas limit. No price makes an answer fail. The owner gets its
///   change with bounded gas; what it does not take is kept for it.
///
/// The version is the code's own, so upgrading a proxy needs no second step that could be forgotten.
contract ZrSignHardened is SignAdmin, EIP712Upgradeable {
    /// @custom:storage-location erc7201:zrsign.storage.hardened
    struct HardenedLayout {
        mapping(address owner => uint256) held;
    }

    /// The owner did not take its change; it may claim it.
    event RefundHeld(address indexed owner, uint256 amount);
    event RefundClaimed(address indexed owner, address indexed to, uint256 amount);

    error OwnerMismatch(address expected, address provided);
    error BroadcastMismatch(bool expected, bool provided);
    error OptionsMismatch(uint8 expected, uint8 provided);
    /// The gas limit was too low to hand the change on; the same call with more succeeds.
    error InsufficientGas(uint256 required, uint256 left);

    /// keccak256(abi.encode(uint256(keccak256("zrsign.storage.hardened")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant HARDENED_BASE = 0xc8ecc2ca4f242f656e5d2ac6c92d6b7ec0b0f48afe746ff3ce11de049541b700;

    bytes32 private constant KEY_ANSWER =
        keccak256("KeyAnswer(bytes32 walletTypeId,address owner,uint256 walletIndex,string wallet,uint8 options)");
    bytes32 private constant SIGNATURE_ANSWER =
        keccak256("SignatureAnswer(uint256 traceId,address owner,bytes metaData,bytes signature,bool broadcast)");

    /// Gas of a call outside the measurement: the transaction itself, the proxy, the way in, the last payment, the
    /// event, the way out. Measured; docs/contracts.md says how near it comes.
    uint256 private constant GAS_OUTSIDE = 50_500;
    /// Gas for a byte of call data that was authorised. What a sender adds to the call is not paid: zeros cost it 4.
    uint256 private constant GAS_PER_BYTE = 16;
    /// What an owner with code may use to take its change, beside the stipend of 2,300; it is charged in full.
    uint256 private constant OWNER_GAS = 10_000;
    /// An account that does not exist yet is paid for by who sends it money.
    uint256 private constant NEW_ACCOUNT_GAS = 25_000;
    /// Keeping the change for an owner that does not take it; charged only then.
    uint256 private constant HOLD_GAS = 30_000;
    /// Below this the owner would get less than it may use, and a caller could make an honest one fail.
    uint256 private constant GAS_FOR_CHANGE = 35_000;

    function version() external pure returns (uint256) {
        return 2;
    }

    // --- what an owner did not take ---------------------------------------------------------------------------------

    function heldRefund(address owner) external view returns (uint256) {
        return _hardened().held[owner];
    }

    /// Pays what is held for the caller to `to`.
    function claimRefund(address to) external nonReentrant {
        uint256 amount = _hardened().held[msg.sender];
        _hardened().held[msg.sender] = 0;
        (bool sent,) = to.call{value: amount}("");
        require(sent, "Transfer failed");
        emit RefundClaimed(msg.sender, to, amount);
    }

    // --- answers ----------------------------------------------------------------------------------------------------

    function _open(SignStorage.Request storage request, uint256 value, bool broadcast) internal override {
        request.status = SIG_REQ_IN_PROGRESS;
        request.owner = msg.sender;
        request.broadcast = broadcast;
        request.value = value;
    }

    function _EIP712Name() internal pure override returns (string memory) {
        return "zrSign";
    }

    function _EIP712Version() internal pure override returns (string memory) {
        return "2";
    }

    function _keyDigest(ZrKeyResParams calldata params) internal view override returns (bytes32) {
        return _hashTypedDataV4(
            keccak256(
                abi.encode(
                    KEY_ANSWER,
                    params.walletTypeId,
                    params.owner,
                    params.walletIndex,
                    keccak256(bytes(params.wallet)),
                    params.options
                )
            )
        );
    }

    function _signatureDigest(SignResParams calldata params) internal view override returns (bytes32) {
        return _hashTypedDataV4(
            keccak256(
                abi.encode(
                    SIGNATURE_ANSWER,
                    params.traceId,
                    params.owner,
                    keccak256(params.metaData),
                    keccak256(params.signature),
                    params.broadcast
                )
            )
        );
    }

    function _compare(ZrKeyResParams calldata params, WalletRegistry storage wallet) internal view override {
        if (params.options != wallet.options) revert OptionsMismatch(wallet.options, params.options);
    }

    /// A request that was open when its proxy was upgraded has no owner on record; it is answered as in version 1.
    function _compare(SignResParams calldata params, SignStorage.Request storage request) internal view override {
        address owner = request.owner;
        if (owner == address(0)) return;
        if (params.owner != owner) revert OwnerMismatch(owner, params.owner);
        if (params.broadcast != request.broadcast) revert BroadcastMismatch(request.broadcast, params.broadcast);
    }

    // --- money ------------------------------------------------------------------------------------------------------

    function _refund(address owner, uint256 value, uint256 begun, uint256 length) internal override {
        bool hasCode = owner.code.length != 0;
        uint256 used = begun + GAS_OUTSIDE + GAS_PER_BYTE * length;
        if (hasCode) used += OWNER_GAS;
        else if (owner.codehash == 0) used += NEW_ACCOUNT_GAS;
        uint256 cost = _atMost((used - gasleft()) * tx.gasprice, value);

        uint256 change = value - cost;
        if (change != 0 && !_offer(owner, change, hasCode)) {
            uint256 holding = _atMost(HOLD_GAS * tx.gasprice, change);
            cost += holding;
            change -= holding;
            _hardened().held[owner] += change;
            emit RefundHeld(owner, change);
        }
        (bool sent,) = msg.sender.call{value: cost}("");
        require(sent, "Transfer failed");
        emit ZrSigGasRefund(cost, change);
    }

    /// Offers the owner its change. What it answers is not looked at: an answer can be long enough to burn the gas
    /// that it was not given.
    function _offer(address owner, uint256 change, bool hasCode) private returns (bool taken) {
        uint256 limit = 0;
        if (hasCode) {
            if (gasleft() < GAS_FOR_CHANGE) revert InsufficientGas(GAS_FOR_CHANGE, gasleft());
            limit = OWNER_GAS;
        }
        assembly ("memory-safe") {
            taken := call(limit, owner, change, 0, 0, 0, 0)
        }
    }

    function _atMost(uint256 amount, uint256 bound) private pure returns (uint256) {
        return amount < bound ? amount : bound;
    }

    function _hardened() private pure returns (HardenedLayout storage s) {
        assembly ("memory-safe") {
            s.slot := HARDENED_BASE
        }
    }
}
