// All that includes torch, as one: torch's headers take longer than the rest of these files.
#include "edges.cpp"
#include "forms.cpp"
#include "operators.cpp"
#include "parameters.cpp"
#include "training.cpp"
