package mlc.sample

import android.app.Activity
import android.os.Bundle
import android.widget.Button
import android.widget.TextView
import mlc.updates.Outcome

/** Which model runs, and whether its channel has a newer one. */
class UpdateActivity : Activity() {
    private val models get() = (application as SampleApp).models
    private lateinit var outcome: TextView
    private lateinit var check: Button

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.activity_update)
        outcome = findViewById(R.id.outcome)
        check = findViewById(R.id.check)
        check.setOnClickListener { check() }
        showModel()
    }

    private fun check() {
        check.isEnabled = false
        outcome.setText(R.string.checking)
        models.update(conditionsNow(this)) {
            check.isEnabled = true
            outcome.text = tell(it)
            showModel()
        }
    }

    private fun showModel() = models.ask({ it.about }) { result ->
        result.onSuccess {
            findViewById<TextView>(R.id.model).text = getString(R.string.model_about, it.name, it.version)
            findViewById<TextView>(R.id.digest).text = getString(R.string.model_digest, it.artifact.sha256)
        }
        result.onFailure { outcome.text = getString(R.string.model_failed, it.message ?: it.toString()) }
    }

    private fun tell(outcome: Outcome?): String = when (outcome) {
        null -> getString(R.string.no_channel)
        is Outcome.Current -> getString(R.string.current)
        is Outcome.Updated -> outcome.version?.let { getString(R.string.updated, it) } ?: getString(R.string.returned)
        is Outcome.Waiting -> getString(R.string.waiting, outcome.condition)
        is Outcome.Failed -> getString(R.string.update_failed, outcome.reason, outcome.detail)
    }
}
