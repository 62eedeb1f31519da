"""Model versions in MLflow: the files as artifacts of a run, the facts as tags, the champion as an alias.

What lies where, for whoever reads it without this class (serving does, over plain REST):

    registered model   named like the use case
        tag ``baseline``        JSON ``{"run_id": ..., "bundle_digest": ...}``: version "0", the rule
        alias ``champion``      the version that serves; no alias means version "0"
    model version      "1", "2", ...; its ``run_id`` is the training run, its ``source`` is ``<run's artifacts>/bundle``
                       (``mlflow-artifacts:/<experiment>/<run>/artifacts/bundle``: what follows ``mlflow-artifacts:/`` is the
                       path under ``/api/2.0/mlflow-artifacts/artifacts/``)
        tag ``bundle_digest``   SHA-256 of the bundle's bundle.json
        tag ``key``             identifies the training (digests of snapshot and specification)
        tag ``as_of``           ISO 8601; nothing that became known later was used
        tag ``snapshot``        digest of the training set
        tag ``metrics``         JSON object, metrics on the evaluation slice
        tag ``passed``          "true" where every enforced gate passed, else "false"
        tag ``summary``         one line: metrics against the rule, and any broken promise
        tag ``champion``        the version that served when the gates were checked
        tag ``promoted``        "true" once it has been champion
    run                in the experiment named like the use case, with parameters, metrics (per segment too) and the training
                       set as dataset; artifact ``bundle/`` holds the files of `noria.core.bundle`, ``signature.json`` the inputs
"""
