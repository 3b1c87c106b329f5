// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IZrSign} from "./IZrSign.sol";

/// Where the state lies (ERC-7201). A proxy of version 1 can be upgraded to this code and back: base, order and types
/// are those of version 1.
library SignStorage {
    /// Version 1 has `status` and `value` only. `owner` and `broadcast` fill the free bytes of the first word and are
    /// written by the hardened contract alone; version 1 reads one byte of that word and never looks at them.
    struct Request {
        uint8 status;
        address owner;
        bool broadcast;
        uint256 value;
    }

    /// @custom:storage-location erc7201:zrsign.storage.sign
    struct Layout {
        uint256 mpcFee;
        uint256 collectedFees;
        uint256 respGas;
        uint256 respGasPriceBuffer;
        uint256 nextTraceId;
        mapping(bytes32 walletTypeId => IZrSign.ChainInfo) walletTypes;
        mapping(bytes32 walletTypeId => mapping(bytes32 chainId => bool)) chainIds;
        mapping(bytes32 workspaceId => string[]) addresses;
        mapping(bytes32 walletId => IZrSign.WalletRegistry) wallets;
        mapping(uint256 traceId => Request) requests;
    }

    /// keccak256(abi.encode(uint256(keccak256("zrsign.storage.sign")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant BASE = 0xa30be26d48c79c53518f37fd0be48e3bd1b55edc6a24c0bc6a2effeee4c2c800;

    function state() internal pure returns (Layout storage s) {
        assembly ("memory-safe") {
            s.slot := BASE
        }
    }
}
