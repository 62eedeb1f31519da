"""How is a fitted model sealed as a bundle that serving can check?"""
