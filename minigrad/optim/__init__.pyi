from minigrad_nn.optim import *
