// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Sign} from "./Sign.sol";
import {SignStorage} from "./SignStorage.sol";

/// Start, configuration, money and pause: the same in every version. None of it is stopped by the pause.
abstract contract SignAdmin is Sign {
    /// The bare implementation can never be initialised.
    constructor() {
        _disableInitializers();
    }

    /// Passed to the proxy's constructor, so that who deploys the proxy becomes the admin, and nobody can come between.
    function initializeV1() external initializer {
        __ReentrancyGuard_init();
        _grantRole(DEFAULT_ADMIN_ROLE, _msgSender());
    }

    /// A type whose purpose is 0 counts as not supported. Removing a type leaves its chains in storage.
    function walletTypeIdConfig(uint256 purpose, uint256 coinType, bool support)
        external
        onlyRole(DEFAULT_ADMIN_ROLE)
    {
        bytes32 walletTypeId = keccak256(abi.encode(purpose, coinType));
        SignStorage.Layout storage s = SignStorage.state();
        if (support) {
            if (isWalletTypeSupported(walletTypeId)) revert WalletTypeAlreadySupported(walletTypeId);
            s.walletTypes[walletTypeId] = ChainInfo({purpose: purpose, coinType: coinType});
        } else {
            _requireWalletType(walletTypeId);
            delete s.walletTypes[walletTypeId];
        }
        emit WalletTypeIdSupport(purpose, coinType, walletTypeId, support);
    }

    /// The event is the only place on the chain that shows the text behind a chain id.
    function chainIdConfig(bytes32 walletTypeId, string calldata caip, bool support)
        external
        onlyRole(DEFAULT_ADMIN_ROLE)
    {
        _requireWalletType(walletTypeId);
        bytes32 chainId = keccak256(bytes(caip));
        bool supported = isChainIdSupported(walletTypeId, chainId);
        if (support && supported) revert ChainIdAlreadySupported(walletTypeId, chainId);
        if (!support && !supported) revert ChainIdNotSupported(walletTypeId, chainId);
        SignStorage.state().chainIds[walletTypeId][chainId] = support;
        emit ChainIdSupport(walletTypeId, chainId, caip, support);
    }

    function updateMPCFee(uint256 newFee) external onlyRole(FEE_ROLE) {
        SignStorage.Layout storage s = SignStorage.state();
        emit MPCFeeUpdate(s.mpcFee, newFee);
        s.mpcFee = newFee;
    }

    function updateRespGas(uint256 newGas) external onlyRole(FEE_ROLE) {
        SignStorage.Layout storage s = SignStorage.state();
        emit RespGasUpdate(s.respGas, newGas);
        s.respGas = newGas;
    }

    /// In percent of the base fee.
    function updateRespGasBuffer(uint256 newBuffer) external onlyRole(FEE_ROLE) {
        SignStorage.Layout storage s = SignStorage.state();
        emit RespGasPriceBufferUpdate(s.respGasPriceBuffer, newBuffer);
        s.respGasPriceBuffer = newBuffer;
    }

    function withdrawMPCFees() external onlyRole(FEE_ROLE) nonReentrant {
        SignStorage.Layout storage s = SignStorage.state();
        uint256 amount = s.collectedFees;
        s.collectedFees = 0;
        (bool sent,) = msg.sender.call{value: amount}("");
        require(sent, "Failed to send Ether");
        emit MPCFeeWithdraw(msg.sender, amount);
    }

    function pause() external onlyRole(PAUSER_ROLE) {
        _pause();
    }

    function unpause() external onlyRole(PAUSER_ROLE) {
        _unpause();
    }
}
