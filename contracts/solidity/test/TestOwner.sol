// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// An owner for tests that does what it is told when its change arrives: takes it, refuses it, burns all gas, calls
/// back, or answers with more bytes than anybody wants to pay for.
contract TestOwner {
    enum Mode {
        Take,
        Refuse,
        Burn,
        CallBack,
        LongAnswer
    }

    event CalledBack(bool success, bytes answer);

    Mode public mode;
    address public target;
    bytes public callData;

    constructor() payable {}

    function behave(Mode mode_, address target_, bytes calldata callData_) external {
        mode = mode_;
        target = target_;
        callData = callData_;
    }

    /// Calls anything, as this contract.
    function act(address to, uint256 value, bytes calldata data) external payable {
        (bool success, bytes memory answer) = to.call{value: value}(data);
        if (!success) {
            assembly ("memory-safe") {
                revert(add(answer, 0x20), mload(answer))
            }
        }
    }

    receive() external payable {
        if (mode == Mode.Refuse) revert();
        if (mode == Mode.Burn) {
            assembly ("memory-safe") {
                invalid()
            }
        }
        if (mode == Mode.LongAnswer) {
            assembly ("memory-safe") {
                revert(0, 60000)
            }
        }
        if (mode == Mode.CallBack) {
            (bool success, bytes memory answer) = target.call(callData);
            emit CalledBack(success, answer);
        }
    }
}
