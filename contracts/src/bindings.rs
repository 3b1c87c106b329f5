//! Bindings made from the committed artifacts: calls, events, errors, and `BYTECODE` to deploy.
//!
//! Each contract has a module of its own because each brings its own copy of the structs.

/// Version 1, compatible to the byte.
pub mod compatible {
    #![allow(missing_docs, unreachable_pub, clippy::too_many_arguments)]
    alloy_sol_types::sol!(
        #[sol(rpc, all_derives)]
        ZrSign,
        "artifacts/ZrSign.json"
    );
}

/// Version 2, without the weaknesses of version 1.
pub mod hardened {
    #![allow(missing_docs, unreachable_pub, clippy::too_many_arguments)]
    alloy_sol_types::sol!(
        #[sol(rpc, all_derives)]
        ZrSignHardened,
        "artifacts/ZrSignHardened.json"
    );
}

/// The proxy, what its admin may call, and the upgrade helper.
pub mod proxy {
    #![allow(missing_docs, unreachable_pub, clippy::too_many_arguments)]
    alloy_sol_types::sol!(
        #[sol(rpc, all_derives)]
        ZrProxy,
        "artifacts/ZrProxy.json"
    );
    alloy_sol_types::sol!(
        #[sol(rpc, all_derives)]
        IZrProxy,
        "artifacts/IZrProxy.json"
    );
    alloy_sol_types::sol!(
        #[sol(rpc, all_derives)]
        ZrSignUpgrader,
        "artifacts/ZrSignUpgrader.json"
    );
}

/// A contract that owns wallets.
pub mod consumer {
    #![allow(missing_docs, unreachable_pub, clippy::too_many_arguments)]
    alloy_sol_types::sol!(
        #[sol(rpc, all_derives)]
        ExampleConsumer,
        "artifacts/ExampleConsumer.json"
    );
}

/// An owner that misbehaves when told to. For tests only.
pub mod test_owner {
    #![allow(missing_docs, unreachable_pub, clippy::too_many_arguments)]
    alloy_sol_types::sol!(
        #[sol(rpc, all_derives)]
        TestOwner,
        "artifacts/TestOwner.json"
    );
}
