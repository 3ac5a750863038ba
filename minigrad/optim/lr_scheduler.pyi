from minigrad_nn.optim.lr_scheduler import *
