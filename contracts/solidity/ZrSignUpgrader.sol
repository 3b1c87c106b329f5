// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IZrProxy} from "./ZrProxy.sol";

/// Upgrades a proxy and hands its admin role on, in one transaction. The present admin makes this contract the proxy's
/// admin first; whatever is called then, the role ends with `newProxyAdmin`, and this contract has no power left.
contract ZrSignUpgrader {
    address private immutable DEPLOYER;
    address public immutable proxy;
    address public immutable implementation;
    address public immutable newProxyAdmin;

    modifier onlyDeployer() {
        require(msg.sender == DEPLOYER, "only owner");
        _;
    }

    constructor(address proxy_, address implementation_, address newProxyAdmin_) {
        DEPLOYER = msg.sender;
        proxy = proxy_;
        implementation = implementation_;
        newProxyAdmin = newProxyAdmin_;
    }

    function upgrade() external onlyDeployer {
        IZrProxy(proxy).upgradeTo(implementation);
        IZrProxy(proxy).changeAdmin(newProxyAdmin);
    }

    /// Hands the role on without an upgrade.
    function abortUpgrade() external onlyDeployer {
        IZrProxy(proxy).changeAdmin(newProxyAdmin);
    }
}
