// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// The payload that zrSignTx expects for EVM wallets: a legacy transaction as an RLP list of nine items, the last three
/// empty. The chain is not in it; it is the request's destination.
library LegacyTransaction {
    struct Fields {
        uint256 nonce;
        uint256 gasPrice;
        uint256 gasLimit;
        address to;
        uint256 value;
        /// As it is; encoding it is done here.
        bytes data;
    }

    function encode(Fields memory fields) internal pure returns (bytes memory) {
        bytes memory items = bytes.concat(
            _integer(fields.nonce),
            _integer(fields.gasPrice),
            _integer(fields.gasLimit),
            _text(abi.encodePacked(fields.to)),
            _integer(fields.value),
            _text(fields.data),
            hex"808080"
        );
        return bytes.concat(_header(items.length, 0xc0), items);
    }

    function _text(bytes memory text) private pure returns (bytes memory) {
        if (text.length == 1 && text[0] < 0x80) return text;
        return bytes.concat(_header(text.length, 0x80), text);
    }

    /// Big-endian without leading zeros; 0 is the empty text.
    function _integer(uint256 value) private pure returns (bytes memory) {
        return _text(_bigEndian(value));
    }

    function _bigEndian(uint256 value) private pure returns (bytes memory out) {
        uint256 length = 0;
        for (uint256 rest = value; rest != 0; rest >>= 8) {
            length++;
        }
        out = new bytes(length);
        for (uint256 place = length; place != 0; place--) {
            out[place - 1] = bytes1(uint8(value));
            value >>= 8;
        }
    }

    function _header(uint256 length, uint8 base) private pure returns (bytes memory) {
        if (length < 56) return abi.encodePacked(uint8(base + length));
        bytes memory size = _bigEndian(length);
        return abi.encodePacked(uint8(base + 55 + size.length), size);
    }
}
