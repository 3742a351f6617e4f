// All that includes torch, as one: torch's headers take longer than the rest of these files.
#include "device.cpp"
#include "device_interaction.cpp"
#include "device_operators.cpp"
#include "edges.cpp"
#include "forms.cpp"
#include "operators.cpp"
#include "parameters.cpp"
#include "training.cpp"
