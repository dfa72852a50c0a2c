"""Tables of accuracies, the paper's Tables 2 to 5: methods by attacks, for data sets and students."""
