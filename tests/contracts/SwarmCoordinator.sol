// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// The tests' own coordinator: the functions and errors of RL Swarm's, as far as they are read.
/// Rewards, votes and registrations are kept by peer id, rounds by hand.
contract SwarmCoordinator {
    error InvalidRoundNumber();
    error InvalidVoterPeerId();
    error PeerIdAlreadyRegistered();
    error RewardAlreadySubmitted();
    error WinnerAlreadyVoted();

    uint256 public currentRound;
    uint256 public currentStage;
    uint256 internal voters;
    mapping(string => address) internal eoas;
    mapping(address => string[]) internal peers;
    mapping(string => int256) internal rewards;
    mapping(string => uint256) internal wins;
    mapping(string => uint256) internal votes;
    mapping(uint256 => mapping(uint256 => mapping(string => bool))) internal rewarded;
    mapping(uint256 => mapping(string => bool)) internal voted;

    function advance(uint256 round, uint256 stage) external {
        currentRound = round;
        currentStage = stage;
    }

    function registerPeer(string calldata peerId) external {
        if (eoas[peerId] != address(0)) revert PeerIdAlreadyRegistered();
        eoas[peerId] = msg.sender;
        peers[msg.sender].push(peerId);
    }

    function submitReward(uint256 round, uint256 stage, int256 reward, string calldata peerId) external {
        if (round > currentRound) revert InvalidRoundNumber();
        if (eoas[peerId] != msg.sender) revert InvalidVoterPeerId();
        if (rewarded[round][stage][peerId]) revert RewardAlreadySubmitted();
        rewarded[round][stage][peerId] = true;
        rewards[peerId] += reward;
    }

    function submitWinners(uint256 round, string[] calldata winners, string calldata peerId) external {
        if (round > currentRound) revert InvalidRoundNumber();
        if (eoas[peerId] != msg.sender) revert InvalidVoterPeerId();
        if (voted[round][peerId]) revert WinnerAlreadyVoted();
        voted[round][peerId] = true;
        if (votes[peerId] == 0) voters += 1;
        votes[peerId] += 1;
        for (uint256 i = 0; i < winners.length; i++) wins[winners[i]] += 1;
    }

    function _known(string calldata peerId) internal view virtual {}

    function getTotalRewards(string[] calldata peerIds) external view returns (int256[] memory) {
        int256[] memory sums = new int256[](peerIds.length);
        for (uint256 i = 0; i < peerIds.length; i++) {
            _known(peerIds[i]);
            sums[i] = rewards[peerIds[i]];
        }
        return sums;
    }
}

/// A later generation: it has every function that is read.
contract FullCoordinator is SwarmCoordinator {
    function uniqueVoters() external view returns (uint256) {
        return voters;
    }

    function getTotalWins(string calldata peerId) external view returns (uint256) {
        _known(peerId);
        return wins[peerId];
    }

    function getVoterVoteCount(string calldata peerId) external view returns (uint256) {
        require(_counted(peerId), "nobody votes by this id");
        return votes[peerId];
    }

    function _counted(string calldata) internal view virtual returns (bool) {
        return true;
    }

    function getEoa(string[] calldata peerIds) external view returns (address[] memory) {
        address[] memory found = new address[](peerIds.length);
        for (uint256 i = 0; i < peerIds.length; i++) found[i] = eoas[peerIds[i]];
        return found;
    }

    function getPeerId(address[] calldata accounts) external view returns (string[][] memory) {
        string[][] memory found = new string[][](accounts.length);
        for (uint256 i = 0; i < accounts.length; i++) found[i] = peers[accounts[i]];
        return found;
    }
}

/// One that refuses peers it does not know, a whole list because of one.
contract StrictCoordinator is FullCoordinator {
    function _known(string calldata peerId) internal view override {
        if (eoas[peerId] == address(0)) revert InvalidVoterPeerId();
    }

    function _counted(string calldata peerId) internal view override returns (bool) {
        return eoas[peerId] != address(0);
    }
}

/// An earlier generation: round, stage and rewards, and no more.
contract EarlyCoordinator is SwarmCoordinator {}
