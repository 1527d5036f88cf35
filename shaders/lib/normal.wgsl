// Constants of normal densities.

const LOG_TWO_PI = 1.8378770664093453;
