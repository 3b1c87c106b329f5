// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IZrSign} from "../IZrSign.sol";
import {LegacyTransaction} from "./LegacyTransaction.sol";

/// A contract that owns wallets: asks, pays out of its own balance, takes the change back.
///
/// Who inherits says who may spend that balance. Everything that is asked for belongs to this contract.
abstract contract ZrSignConnect {
    /// What an operator completes: recipient as the destination writes it, amount, call data.
    struct SimpleTx {
        string to;
        uint256 value;
        bytes data;
    }

    event Received(address sender, uint256 amount);

    /// keccak256(abi.encode(44, 60))
    bytes32 public constant EVM_WALLET_TYPE = 0xe146c2986893c43af5ff396310220be92058fb9f4ce76b929b80ef0d5307100a;
    /// keccak256(abi.encode(44, 1)): the test network's.
    bytes32 public constant BTC_WALLET_TYPE = 0xe03615811ae25b894de73e643038c13c37f602dc1e17ff1a02e5854893f3bd5e;

    /// The proxy.
    address payable public immutable ZR_SIGN_ADDRESS;

    constructor(address payable zrSign) {
        ZR_SIGN_ADDRESS = zrSign;
    }

    /// Change comes back here. Without it no answer could be published that leaves change.
    receive() external payable {
        emit Received(msg.sender, msg.value);
    }

    /// Reverts unless `caller` may spend this contract's balance on requests.
    function _mayAsk(address caller) internal view virtual;

    // --- keys -------------------------------------------------------------------------------------------------------

    function requestNewEVMWallet(uint8 options) external payable {
        _mayAsk(msg.sender);
        _requestWallet(EVM_WALLET_TYPE, options);
    }

    function requestNewBTCWallet(uint8 options) external payable {
        _mayAsk(msg.sender);
        _requestWallet(BTC_WALLET_TYPE, options);
    }

    function getEVMWallets() external view returns (string[] memory) {
        return _zrSign().getZrKeys(EVM_WALLET_TYPE, address(this));
    }

    function getEVMWallet(uint256 index) external view returns (string memory) {
        return _zrSign().getZrKey(EVM_WALLET_TYPE, address(this), index);
    }

    function getBTCWallets() external view returns (string[] memory) {
        return _zrSign().getZrKeys(BTC_WALLET_TYPE, address(this));
    }

    function getBTCWallet(uint256 index) external view returns (string memory) {
        return _zrSign().getZrKey(BTC_WALLET_TYPE, address(this), index);
    }

    /// The fee of the block that includes this: exact, because it is asked in the same transaction.
    function _requestWallet(bytes32 walletTypeId, uint8 options) internal {
        (,, uint256 total) = _zrSign().estimateFee(options, 0);
        _zrSign().zrKeyReq{value: total}(
            IZrSign.ZrKeyReqParams({owner: address(this), walletTypeId: walletTypeId, options: options})
        );
    }

    // --- signatures -------------------------------------------------------------------------------------------------

    /// The wallet signs these 32 bytes as they are: hash and prefix before.
    function reqSignForHash(bytes32 walletTypeId, uint256 walletIndex, bytes32 dstChainId, bytes32 hash) internal {
        IZrSign.ZrSignParams memory params =
            _params(walletTypeId, walletIndex, dstChainId, abi.encodePacked(hash), false);
        _zrSign().zrSignHash{value: _fee(walletTypeId, walletIndex)}(params);
    }

    /// The wallet signs keccak256 of `data` (docs/adr/0012).
    function reqSignForData(bytes32 walletTypeId, uint256 walletIndex, bytes32 dstChainId, bytes memory data)
        internal
    {
        IZrSign.ZrSignParams memory params = _params(walletTypeId, walletIndex, dstChainId, data, false);
        _zrSign().zrSignData{value: _fee(walletTypeId, walletIndex)}(params);
    }

    function reqSignForTx(
        bytes32 walletTypeId,
        uint256 walletIndex,
        bytes32 dstChainId,
        LegacyTransaction.Fields memory fields,
        bool broadcast
    ) internal {
        IZrSign.ZrSignParams memory params =
            _params(walletTypeId, walletIndex, dstChainId, LegacyTransaction.encode(fields), broadcast);
        _zrSign().zrSignTx{value: _fee(walletTypeId, walletIndex)}(params);
    }

    function reqSignForSimpleTx(
        bytes32 walletTypeId,
        uint256 walletIndex,
        bytes32 dstChainId,
        SimpleTx memory fields,
        bool broadcast
    ) internal {
        bytes memory payload =
            abi.encodeWithSignature("transaction(string,uint256,bytes)", fields.to, fields.value, fields.data);
        IZrSign.ZrSignParams memory params = _params(walletTypeId, walletIndex, dstChainId, payload, broadcast);
        _zrSign().zrSignSimpleTx{value: _fee(walletTypeId, walletIndex)}(params);
    }

    function _params(
        bytes32 walletTypeId,
        uint256 walletIndex,
        bytes32 dstChainId,
        bytes memory payload,
        bool broadcast
    ) private pure returns (IZrSign.ZrSignParams memory) {
        return IZrSign.ZrSignParams({
            walletTypeId: walletTypeId,
            walletIndex: walletIndex,
            dstChainId: dstChainId,
            payload: payload,
            broadcast: broadcast
        });
    }

    function _fee(bytes32 walletTypeId, uint256 walletIndex) private view returns (uint256 total) {
        (,, total) = _zrSign().estimateFee(walletTypeId, address(this), walletIndex, 0);
    }

    function _zrSign() private view returns (IZrSign) {
        return IZrSign(ZR_SIGN_ADDRESS);
    }
}
