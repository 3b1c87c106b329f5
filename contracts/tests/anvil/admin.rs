//! Roles, configuration, fees and pause.

use alloy_primitives::{B256, U256};
use alloy_sol_types::{SolCall, SolError};
use contracts::bindings::compatible::ZrSign;
use contracts::names::{BITCOIN, EVM, FEE_ROLE, MPC_ROLE, PAUSER_ROLE, chain_id};

use crate::world::{
    ADMIN, Ask, MPC_FEE, OPERATOR, RESP_GAS, STRANGER, World, address_of, controller, first_wallet, hash_answer, log,
    text,
};

/// Every function that needs a role, called by somebody without it.
#[tokio::test]
async fn who_may_do_what() {
    let world = World::new().await;
    let by = |data: Vec<u8>| world.ask(STRANGER, data);
    let admin: [Ask; 4] = [
        by(ZrSign::walletTypeIdConfigCall { purpose: U256::from(44), coinType: U256::ZERO, support: true }
            .abi_encode()),
        by(ZrSign::chainIdConfigCall { walletTypeId: EVM, caip: "eip155:1".to_owned(), support: true }.abi_encode()),
        by(ZrSign::grantRoleCall { role: MPC_ROLE, account: STRANGER }.abi_encode()),
        by(ZrSign::revokeRoleCall { role: MPC_ROLE, account: address_of(&controller()) }.abi_encode()),
    ];
    for ask in admin {
        world.refused(ask, World::not_admin(STRANGER)).await;
    }
    let fee = [
        ZrSign::updateMPCFeeCall { newFee: U256::ZERO }.abi_encode(),
        ZrSign::updateRespGasCall { newGas: U256::ZERO }.abi_encode(),
        ZrSign::updateRespGasBufferCall { newBuffer: U256::ZERO }.abi_encode(),
        ZrSign::withdrawMPCFeesCall {}.abi_encode(),
    ];
    for data in fee {
        world.refused(by(data.clone()), World::unauthorised(STRANGER, FEE_ROLE)).await;
        world.refused(world.ask(ADMIN, data), World::unauthorised(ADMIN, FEE_ROLE)).await;
    }
    for data in [ZrSign::pauseCall {}.abi_encode(), ZrSign::unpauseCall {}.abi_encode()] {
        world.refused(by(data), World::unauthorised(STRANGER, PAUSER_ROLE)).await;
    }
    // The role is looked at before the arguments.
    let nonsense = ZrSign::chainIdConfigCall { walletTypeId: B256::ZERO, caip: String::new(), support: true };
    world.refused(by(nonsense.abi_encode()), World::not_admin(STRANGER)).await;
}

#[tokio::test]
async fn roles_are_granted_revoked_and_renounced() {
    let world = World::new().await;
    assert!(world.role(B256::ZERO, ADMIN).await);
    for role in [B256::ZERO, MPC_ROLE, FEE_ROLE, PAUSER_ROLE] {
        assert_eq!(world.read(ZrSign::getRoleAdminCall { role }).await, B256::ZERO);
    }
    let grant = ZrSign::grantRoleCall { role: FEE_ROLE, account: STRANGER };
    let granted: ZrSign::RoleGranted = log(&world.done(world.admin(&grant)).await);
    assert_eq!((granted.role, granted.account, granted.sender), (FEE_ROLE, STRANGER, ADMIN));
    assert!(world.done(world.admin(&grant)).await.logs().is_empty(), "nothing changed, nothing said");
    assert!(world.role(FEE_ROLE, STRANGER).await);

    let revoke = ZrSign::revokeRoleCall { role: FEE_ROLE, account: STRANGER };
    let revoked: ZrSign::RoleRevoked = log(&world.done(world.admin(&revoke)).await);
    assert_eq!((revoked.role, revoked.account, revoked.sender), (FEE_ROLE, STRANGER, ADMIN));
    assert!(world.done(world.admin(&revoke)).await.logs().is_empty());

    let renounce = ZrSign::renounceRoleCall { role: PAUSER_ROLE, callerConfirmation: OPERATOR };
    world.refused(world.call(STRANGER, &renounce), ZrSign::AccessControlBadConfirmation {}.abi_encode()).await;
    let revoked: ZrSign::RoleRevoked = log(&world.done(world.operator(&renounce)).await);
    assert_eq!((revoked.account, revoked.sender), (OPERATOR, OPERATOR));
    assert!(!world.role(PAUSER_ROLE, OPERATOR).await);
}

#[tokio::test]
async fn wallet_types() {
    let world = World::new().await;
    let supported = || ZrSign::isWalletTypeSupportedCall { walletTypeId: BITCOIN };
    let refused = ZrSign::WalletTypeNotSupported { walletTypeId: BITCOIN };
    world.refused(world.wallet_type(0, false), refused.abi_encode()).await;
    for support in [true, false, true] {
        let said: ZrSign::WalletTypeIdSupport = log(&world.done(world.wallet_type(0, support)).await);
        assert_eq!((said.purpose, said.coinType), (U256::from(44), U256::ZERO));
        assert_eq!((said.walletTypeId, said.support), (BITCOIN, support));
        assert_eq!(world.read(supported()).await, support);
    }
    let refused = ZrSign::WalletTypeAlreadySupported { walletTypeId: BITCOIN };
    world.refused(world.wallet_type(0, true), refused.abi_encode()).await;
}

#[tokio::test]
async fn chains() {
    let world = World::new().await;
    let id = chain_id("eip155:1");
    let config = |support| world.chain_config(EVM, "eip155:1", support);
    world.refused(config(false), ZrSign::ChainIdNotSupported { walletTypeId: EVM, chainId: id }.abi_encode()).await;
    for support in [true, false, true] {
        let said: ZrSign::ChainIdSupport = log(&world.done(config(support)).await);
        assert_eq!((said.walletTypeId, said.chainId), (EVM, id));
        assert_eq!((said.caip.as_str(), said.support), ("eip155:1", support), "the only place that shows the text");
        let supported = ZrSign::isChainIdSupportedCall { walletTypeId: EVM, chainId: id };
        assert_eq!(world.read(supported).await, support);
    }
    world.refused(config(true), ZrSign::ChainIdAlreadySupported { walletTypeId: EVM, chainId: id }.abi_encode()).await;

    // Without its type a chain can be neither added nor removed; it is still there when the type comes back.
    world.done(world.wallet_type(60, false)).await;
    for support in [true, false] {
        let refused = ZrSign::WalletTypeNotSupported { walletTypeId: EVM };
        world.refused(config(support), refused.abi_encode()).await;
    }
    world.done(world.wallet_type(60, true)).await;
    assert!(world.read(ZrSign::isChainIdSupportedCall { walletTypeId: EVM, chainId: id }).await);
}

#[tokio::test]
async fn fee_settings() {
    let world = World::new().await;
    let said: ZrSign::MPCFeeUpdate =
        log(&world.done(world.operator(&ZrSign::updateMPCFeeCall { newFee: U256::from(7) })).await);
    assert_eq!((said.oldFee, said.newFee), (U256::from(MPC_FEE), U256::from(7)));
    let said: ZrSign::RespGasUpdate =
        log(&world.done(world.operator(&ZrSign::updateRespGasCall { newGas: U256::from(8) })).await);
    assert_eq!((said.oldGas, said.newGas), (U256::from(RESP_GAS), U256::from(8)));
    let said: ZrSign::RespGasPriceBufferUpdate =
        log(&world.done(world.operator(&ZrSign::updateRespGasBufferCall { newBuffer: U256::from(9) })).await);
    assert_eq!((said.oldBuffer, said.newBuffer), (U256::from(120), U256::from(9)));
    assert_eq!(world.read(ZrSign::getMPCFeeCall {}).await, U256::from(7));
    assert_eq!(world.read(ZrSign::getRespGasCall {}).await, U256::from(8));
    assert_eq!(world.read(ZrSign::getRespGasPriceBufferCall {}).await, U256::from(9));
}

#[tokio::test]
async fn fees_are_withdrawn() {
    let world = World::new().await;
    world.with_wallet(1).await;
    let before = world.balance(OPERATOR).await;
    let receipt = world.done(world.operator(&ZrSign::withdrawMPCFeesCall {})).await;
    let said: ZrSign::MPCFeeWithdraw = log(&receipt);
    assert_eq!((said.to, said.amount), (OPERATOR, U256::from(MPC_FEE)));
    let cost = U256::from(receipt.gas_used) * U256::from(receipt.effective_gas_price);
    assert_eq!(world.balance(OPERATOR).await, before + U256::from(MPC_FEE) - cost);
    assert_eq!(world.read(ZrSign::getColletedFeesCall {}).await, U256::ZERO);

    // A holder of the role that takes no money.
    world.done(world.hash_request()).await;
    let owner = world.test_owner(1).await;
    world.done(world.admin(&ZrSign::grantRoleCall { role: FEE_ROLE, account: owner })).await;
    let withdraw = world.as_owner(owner, &ZrSign::withdrawMPCFeesCall {}, 0);
    world.refused(withdraw, text("Failed to send Ether")).await;
    assert_eq!(world.read(ZrSign::getColletedFeesCall {}).await, U256::from(MPC_FEE));
}

/// The pause stops requests and answers, and nothing else.
#[tokio::test]
async fn pause() {
    let world = World::new().await;
    world.with_wallet(1).await;
    world.done(world.hash_request()).await;
    world.done(world.key_request(EVM, 1)).await;
    world.refused(world.operator(&ZrSign::unpauseCall {}), ZrSign::ExpectedPause {}.abi_encode()).await;
    let said: ZrSign::Paused = log(&world.done(world.operator(&ZrSign::pauseCall {})).await);
    assert_eq!(said.account, OPERATOR);
    assert!(world.read(ZrSign::pausedCall {}).await);
    let second = contracts::answer::KeyAnswer { index: U256::from(1), ..first_wallet(1) };
    for stopped in [
        world.operator(&ZrSign::pauseCall {}),
        world.key_request(EVM, 1),
        world.hash_request(),
        world.key_response(&second),
        world.signature_response(&hash_answer(0)),
    ] {
        world.refused(stopped, ZrSign::EnforcedPause {}.abi_encode()).await;
    }
    world.done(world.wallet_type(0, true)).await;
    world.done(world.chain_config(EVM, "eip155:1", true)).await;
    world.done(world.admin(&ZrSign::grantRoleCall { role: MPC_ROLE, account: STRANGER })).await;
    world.done(world.operator(&ZrSign::updateMPCFeeCall { newFee: U256::from(MPC_FEE) })).await;
    world.done(world.operator(&ZrSign::withdrawMPCFeesCall {})).await;
    let said: ZrSign::Unpaused = log(&world.done(world.operator(&ZrSign::unpauseCall {})).await);
    assert_eq!(said.account, OPERATOR);
    world.done(world.key_response(&second)).await;
    world.done(world.signature_response(&hash_answer(0))).await;
}

#[tokio::test]
async fn interfaces() {
    let world = World::new().await;
    for (id, expected) in [(0x01ff_c9a7_u32, true), (0x7965_db0b, true), (0xffff_ffff, false), (0x60a4_8995, false)] {
        let call = ZrSign::supportsInterfaceCall { interfaceId: id.to_be_bytes().into() };
        assert_eq!(world.read(call).await, expected, "{id:x}");
    }
}
