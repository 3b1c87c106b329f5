// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Proxy} from "@openzeppelin/contracts/proxy/Proxy.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {StorageSlot} from "@openzeppelin/contracts/utils/StorageSlot.sol";

/// What the proxy's admin may call. For everybody else the same selectors go to the implementation.
interface IZrProxy {
    event Upgraded(address indexed implementation);
    event AdminChanged(address previousAdmin, address newAdmin);

    function admin() external view returns (address);
    function implementation() external view returns (address);
    function changeAdmin(address newAdmin) external;
    function upgradeTo(address newImplementation) external;
    function upgradeToAndCall(address newImplementation, bytes calldata data) external payable;
}

/// A transparent proxy (ERC-1967). The admin never reaches the implementation, all others never reach the proxy: who
/// calls is looked at before what is called, so that no two selectors can clash.
contract ZrProxy is Proxy {
    event Upgraded(address indexed implementation);
    event AdminChanged(address previousAdmin, address newAdmin);
    /// Part of the interface, emitted by nobody.
    event BeaconUpgraded(address indexed beacon);

    /// keccak256("eip1967.proxy.implementation") - 1
    bytes32 private constant IMPLEMENTATION = 0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc;
    /// keccak256("eip1967.proxy.admin") - 1
    bytes32 private constant ADMIN = 0xb53127684a568b3173ae13b9f8a6016e243e63b6e8ee1178d6a717850b5d6103;

    /// `data` is called on the implementation as by the account that deploys.
    constructor(address logic, address initialAdmin, bytes memory data) payable {
        _setImplementation(logic);
        if (data.length != 0) Address.functionDelegateCall(logic, data);
        _setAdmin(initialAdmin);
    }

    receive() external payable {
        _fallback();
    }

    function _implementation() internal view override returns (address) {
        return StorageSlot.getAddressSlot(IMPLEMENTATION).value;
    }

    function _fallback() internal override {
        if (msg.sender == StorageSlot.getAddressSlot(ADMIN).value) {
            bytes memory answer = _administer();
            assembly ("memory-safe") {
                return(add(answer, 0x20), mload(answer))
            }
        }
        super._fallback();
    }

    function _administer() private returns (bytes memory) {
        if (msg.sig == IZrProxy.upgradeToAndCall.selector) {
            (address target, bytes memory data) = abi.decode(msg.data[4:], (address, bytes));
            _setImplementation(target);
            Address.functionDelegateCall(target, data);
            return "";
        }
        if (msg.sig == IZrProxy.upgradeTo.selector) {
            _refuseValue();
            _setImplementation(abi.decode(msg.data[4:], (address)));
            return "";
        }
        if (msg.sig == IZrProxy.changeAdmin.selector) {
            _refuseValue();
            _setAdmin(abi.decode(msg.data[4:], (address)));
            return "";
        }
        if (msg.sig == IZrProxy.admin.selector) {
            _refuseValue();
            return abi.encode(msg.sender);
        }
        if (msg.sig == IZrProxy.implementation.selector) {
            _refuseValue();
            return abi.encode(_implementation());
        }
        revert("TransparentUpgradeableProxy: admin cannot fallback to proxy target");
    }

    function _refuseValue() private view {
        require(msg.value == 0);
    }

    function _setImplementation(address target) private {
        require(target.code.length != 0, "ERC1967: new implementation is not a contract");
        StorageSlot.getAddressSlot(IMPLEMENTATION).value = target;
        emit Upgraded(target);
    }

    function _setAdmin(address newAdmin) private {
        require(newAdmin != address(0), "ERC1967: new admin is the zero address");
        StorageSlot.AddressSlot storage slot = StorageSlot.getAddressSlot(ADMIN);
        emit AdminChanged(slot.value, newAdmin);
        slot.value = newAdmin;
    }
}
