// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {SignAdmin} from "./SignAdmin.sol";
import {SignStorage} from "./SignStorage.sol";

/// Version 1, the default: compatible with the contracts of October 2024 to the byte, weaknesses included. They are
/// listed in docs/contracts.md; ZrSignHardened is without them.
contract ZrSign is SignAdmin {
    /// Gas after the measurement, as version 1 sets it: two transfers and an event.
    uint256 private constant GAS_AFTER = 7210;

    function version() external view returns (uint256) {
        return _getInitializedVersion();
    }

    function _open(SignStorage.Request storage request, uint256 value, bool) internal override {
        request.status = SIG_REQ_IN_PROGRESS;
        request.value = value;
    }

    /// Personal-sign over 32 raw bytes. Neither this chain nor this contract is in it.
    function _keyDigest(ZrKeyResParams calldata params) internal pure override returns (bytes32) {
        return MessageHashUtils.toEthSignedMessageHash(
            keccak256(
                abi.encode(
                    SRC_CHAIN_ID, params.walletTypeId, params.owner, params.walletIndex, params.wallet, params.options
                )
            )
        );
    }

    function _signatureDigest(SignResParams calldata params) internal pure override returns (bytes32) {
        return MessageHashUtils.toEthSignedMessageHash(
            keccak256(
                abi.encode(
                    SRC_CHAIN_ID, params.traceId, params.owner, params.metaData, params.signature, params.broadcast
                )
            )
        );
    }

    /// Version 1 compares nothing: `options` are what was authorised.
    function _compare(ZrKeyResParams calldata, WalletRegistry storage) internal pure override {}

    /// Version 1 compares nothing: owner and broadcast are what was authorised.
    function _compare(SignResParams calldata, SignStorage.Request storage) internal pure override {}

    /// The arithmetic is version 1's to the wei. It supposes that the answer was sent with a gas limit of `respGas`: what
    /// the limit lacks counts as used, and the owner pays it. It panics when more gas than that is left, and when the
    /// price lies where the value covers the first cost but not the second. That the constant, a gas, is added to the
    /// value, a price, is its too.
    function _refund(address owner, uint256 value, uint256, uint256) internal override {
        // Read first: after the measurement it would be 2,100 gas that nobody repays.
        uint256 respGas = SignStorage.state().respGas;
        uint256 used = respGas - gasleft() + GAS_AFTER;
        uint256 cost = used * tx.gasprice;
        if (value + GAS_AFTER > cost) {
            cost = (used + GAS_AFTER) * tx.gasprice;
            uint256 change = value - cost;
            _pay(msg.sender, cost);
            if (change != 0) _pay(owner, change);
            emit ZrSigGasRefund(cost, change);
        } else {
            _pay(msg.sender, value);
            emit ZrSigGasRefund(cost, 0);
        }
    }

    /// With all the gas that is left, as version 1 does.
    function _pay(address to, uint256 amount) private {
        (bool sent,) = to.call{value: amount}("");
        require(sent, "Transfer failed");
    }
}
