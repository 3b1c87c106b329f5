// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {LegacyTransaction} from "./LegacyTransaction.sol";
import {ZrSignConnect} from "./ZrSignConnect.sol";

/// A consumer with one operator: it asks for keys, hashes, data and transactions, and takes its money out again.
contract ExampleConsumer is ZrSignConnect {
    error NotOperator(address caller);

    address public immutable OPERATOR;

    constructor(address payable zrSign) payable ZrSignConnect(zrSign) {
        OPERATOR = msg.sender;
    }

    function _mayAsk(address caller) internal view override {
        if (caller != OPERATOR) revert NotOperator(caller);
    }

    modifier onlyOperator() {
        _mayAsk(msg.sender);
        _;
    }

    function askHash(bytes32 walletTypeId, uint256 walletIndex, bytes32 dstChainId, bytes32 hash)
        external
        payable
        onlyOperator
    {
        reqSignForHash(walletTypeId, walletIndex, dstChainId, hash);
    }

    function askData(bytes32 walletTypeId, uint256 walletIndex, bytes32 dstChainId, bytes calldata data)
        external
        payable
        onlyOperator
    {
        reqSignForData(walletTypeId, walletIndex, dstChainId, data);
    }

    function askTransaction(
        uint256 walletIndex,
        bytes32 dstChainId,
        LegacyTransaction.Fields calldata fields,
        bool broadcast
    ) external payable onlyOperator {
        reqSignForTx(EVM_WALLET_TYPE, walletIndex, dstChainId, fields, broadcast);
    }

    function askSimpleTransaction(uint256 walletIndex, bytes32 dstChainId, SimpleTx calldata fields, bool broadcast)
        external
        payable
        onlyOperator
    {
        reqSignForSimpleTx(EVM_WALLET_TYPE, walletIndex, dstChainId, fields, broadcast);
    }

    function withdraw(address payable to) external onlyOperator {
        (bool sent,) = to.call{value: address(this).balance}("");
        require(sent, "Failed to send Ether");
    }
}
